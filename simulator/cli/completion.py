"""Values that a shell completes: names of the package, files, and fields of scenarios. Reads names, never contents."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

Complete = Callable[[str], list[str]]

TRACES = (".csv", ".jsonl", ".json", ".parquet", ".gz", ".zst")
YAML = (".yaml", ".yml")
MEASURED = (".csv", ".parquet", ".json")
# Where the fields of each kind of scenario are; a file without a kind serves requests.
FIELDS = {
    "cascade": "simulator.cascade.spec:Cascade",
    "federated": "simulator.specs.federated:FederatedScenario",
    "inference": "simulator.specs.inference:InferenceScenario",
    "network-search": "simulator.specs.network_search:NetworkSearch",
    "pipeline": "simulator.specs.pipeline.scenario:PipelineScenario",
    "rounds": "simulator.specs.rounds:RoundsScenario",
    "training": "simulator.specs.training:TrainingScenario",
    "training-plan": "simulator.specs.training_plan:TrainingPlan",
}
_KIND = re.compile(r"^kind:\s*['\"]?([\w-]+)", re.MULTILINE)


def beginning(names: Iterable[str], incomplete: str) -> list[str]:
    """The names that begin like what was typed, in their order, whatever the case."""
    return [name for name in names if name.lower().startswith(incomplete.lower())]


def devices(incomplete: str) -> list[str]:
    """Devices of the package, and device files."""
    from simulator.hardware.device import device_names

    return beginning(device_names(), incomplete) or files(*YAML)(incomplete)


def models(incomplete: str) -> list[str]:
    """Models of the package, and config files."""
    from simulator.workloads.models import model_names

    return beginning(model_names(), incomplete) or files(".json")(incomplete)


def policies(kind: str) -> Complete:
    """Policies of one kind."""

    def complete(incomplete: str) -> list[str]:
        from simulator.policies.registry import POLICIES

        return beginning(POLICIES[kind], incomplete)

    return complete


def choices(*values: str) -> Complete:
    """One of a few words."""
    return lambda incomplete: beginning(values, incomplete)


def files(*suffixes: str) -> Complete:
    """Files that end so, and folders; what is in a folder where it is the only match."""

    def complete(incomplete: str) -> list[str]:
        found = _entries(incomplete, suffixes)
        while len(found) == 1 and found[0].endswith("/") and (inner := _entries(found[0], suffixes)):
            found = inner
        return found

    return complete


def shipped(folder: Path) -> Complete:
    """Files that come with the package, by name, and YAML files here."""

    def complete(incomplete: str) -> list[str]:
        from simulator.shipped import shipped as files_of

        return [*files(*YAML)(incomplete), *beginning(files_of(folder), incomplete)]

    return complete


def kinds(incomplete: str) -> list[str]:
    """What `simulator list` lists."""
    from simulator.report.catalogue_names import kind_names

    return beginning(kind_names(), incomplete)


def names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Things of the kind that was typed before."""
    from simulator.errors import InputError
    from simulator.report.catalogue_names import names_of

    try:
        return beginning(names_of(str(ctx.params.get("kind"))), incomplete)
    except InputError:
        return []


def published(incomplete: str) -> list[str]:
    """Scenarios of the package that set a published system beside its baseline."""
    from simulator.report.catalogue_names import names_of

    return beginning(names_of("scenarios"), incomplete)


def fields(ctx: typer.Context, incomplete: str) -> list[str]:
    """Fields that --set takes, of the kind of the scenario that was typed before; after `policy=`, its policies."""
    key, equals, value = incomplete.partition("=")
    if equals:
        from simulator.policies.registry import POLICIES

        kind = key.removesuffix(".policy").rpartition(".")[2]
        return [f"{key}={name}" for name in beginning(POLICIES.get(kind, ()), value)]
    from simulator.specs.settings import field_paths

    found = field_paths(_spec(ctx.args))
    if incomplete and "." not in incomplete:
        last = sorted({path.rpartition(".")[2] for path in found})
        found += [name for name in last if name not in found]
    return [f"{name}=" for name in beginning(found, incomplete)]


def _spec(typed: Sequence[str]) -> Any:
    """The fields of the kind of scenario whose file is among the words typed, those of serving if none is."""
    paths = (Path(word).expanduser() for word in typed if word.endswith(YAML))
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file())
    found = _KIND.search(next(texts, ""))
    module, name = FIELDS.get(found[1] if found else "", "simulator.scenario:Scenario").split(":")
    return getattr(importlib.import_module(module), name)


def _entries(incomplete: str, suffixes: Sequence[str]) -> list[str]:
    folder, _, start = incomplete.rpartition("/")
    where = f"{folder}/" if folder or incomplete.startswith("/") else ""
    try:
        found = sorted(Path(where or ".").expanduser().iterdir())
    except OSError:
        return []
    kept = [p for p in found if p.name.startswith(start) and (start.startswith(".") or not p.name.startswith("."))]
    return [f"{where}{p.name}/" if p.is_dir() else where + p.name for p in kept if p.is_dir() or p.suffix in suffixes]
