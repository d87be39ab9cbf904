"""`simulator export`: a deployment in the words of the system that is to serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cli import completion
from simulator.cli.options import Quiet, Settings, file_argument, made_folder
from simulator.shipped import SCENARIOS


def export(
    source: Annotated[Path, file_argument("Folder of simulator plan --out, or a serving scenario in YAML.", SCENARIOS)],
    target: Annotated[
        str,
        typer.Option(
            "--format",
            help="vllm, sglang, dynamo or llm-d.",
            autocompletion=completion.choices("vllm", "sglang", "dynamo", "llm-d"),
        ),
    ] = "vllm",
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the files; without it, print them.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write what could not be said as JSON to FILE.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Launch lines or manifests of vLLM, SGLang, NVIDIA Dynamo or llm-d for a deployment, and what they cannot say.

    Example: simulator export simulator/scenarios/serving/deepseek-v3-expert-parallel.yaml --format vllm --out deploy/
    """
    from simulator.deployment import targets
    from simulator.report import files

    found = targets.export(targets.scenario_at(source, settings or []), target, targets.remarks_on(source))
    folder = made_folder(out)
    for name, text in found.files.items():
        if folder is not None:
            files.write_text(folder / name, text)
        elif not quiet:
            print(text, end="")
    covered = found.coverage
    if json_file is not None:
        left = [{"fields": dict(each.fields), "reason": each.reason} for each in covered.unexpressed]
        facts = {"format": target, "files": list(found.files), "not_expressed": left}
        files.write_json(json_file, facts | {"simulated": list(covered.simulated), "notes": list(covered.notes)})
    if folder is not None and not quiet:
        print("\n".join([*(f"wrote {name}" for name in found.files), *covered.comments]))
