"""Serving systems that a scenario can be exported to, by name, and the scenario of what a user points at."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.deployment.dynamo import export_dynamo
from simulator.deployment.exported import Exported
from simulator.deployment.llm_d import export_llm_d
from simulator.deployment.scripts import export_sglang, export_vllm
from simulator.errors import InputError, unknown_name
from simulator.kinds import load_experiment, only_serving, summarised_kind
from simulator.published import is_published, load_published, sides
from simulator.report.files import write_text
from simulator.scenario import Scenario
from simulator.yaml_io import load_yaml

TARGETS: dict[str, Callable[[Scenario, Sequence[str]], Exported]] = {
    "vllm": export_vllm,
    "sglang": export_sglang,
    "dynamo": export_dynamo,
    "llm-d": export_llm_d,
}


NEAREST = "no deployment of the plan meets every objective: this one comes nearest"


def export(scenario: Scenario, target: str, remarks: Sequence[str] = ()) -> Exported:
    """A scenario in the words of a serving system, with `remarks` among its notes.

    Raises `InputError` for an unknown system, and for wrong options.
    """
    if target not in TARGETS:
        raise unknown_name("format", target, TARGETS)
    return TARGETS[target](scenario, remarks)


def write_all(folder: Path, scenario: Scenario, remarks: Sequence[str] = ()) -> None:
    """Write the files of every target into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TARGETS:
        for file, text in export(scenario, name, remarks).files.items():
            write_text(folder / file, text)


def remarks_on(source: Path) -> list[str]:
    """What a plan's folder says of its best deployment that whoever launches it has to know."""
    try:
        plan = json.loads((source / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [NEAREST] if isinstance(plan, dict) and plan.get("feasible") is False else []


def scenario_at(source: Path, settings: Sequence[str] | Mapping[str, Any] = ()) -> Scenario:
    """The scenario of a plan's folder (its `best.yaml`), or of a scenario file; of a published one, the system's.

    Raises `InputError` where there is none, or where it serves no requests.
    """
    path = source / "best.yaml" if source.is_dir() else source
    if source.is_dir() and not path.is_file():
        raise InputError(f"{source} holds no best.yaml: give a folder that simulator plan --out wrote, or a scenario")
    if is_published(path):
        if settings:
            raise InputError(f"{path} describes a published system: leave --set out, or copy the side into a scenario")
        return only_serving(sides(load_published(path), path.parent)[1], "export")
    if summarised_kind(load_yaml(path)) is not None:
        raise InputError("export is of scenarios that serve requests: give one of kind serving", file=path)
    return only_serving(load_experiment(path, settings), "export")
