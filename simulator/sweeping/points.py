"""The points of a sweep: validated scenarios, each known by a digest of all that its figures depend on."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator import __version__
from simulator.cascade.spec import Cascade
from simulator.errors import InputError, unknown_name
from simulator.kinds import GRAPHS, TRAINING, anchor_experiment, scenario_of, summarised_kind
from simulator.scenario import Scenario
from simulator.shipped import SCENARIOS, shipped
from simulator.specs.part import Part
from simulator.specs.settings import full_name, lay_over
from simulator.sweeping.design import Settings, axes, design
from simulator.sweeping.spec import SweepSpec
from simulator.yaml_io import load_yaml

KINDS = ("serving", "cascade", *TRAINING, *GRAPHS)


@dataclass(frozen=True)
class Point:
    """The settings of a point and the scenario that they make, or the reason why they make none.

    Points of equal `key` have equal figures. It does not change with the folders that files are in.
    """

    settings: Settings
    scenario: Part | None
    key: str
    reason: str = ""


def points(spec: SweepSpec, folder: Path) -> list[Point]:
    """All points of a sweep in order; relative paths start from `folder`.

    Raises `InputError` for a scenario that cannot be read, for a field that it does not have or that two names give,
    and where no point at all is a valid scenario.
    """
    base = _base(spec, folder)
    fields = _fields(base)
    _refuse_overlaps([*spec.fixed, *(f for axis in axes(spec) for f in axis.fields)], fields)
    lay_over(base, spec.fixed, fields)
    found = [_point(base, settings, fields, folder) for settings in design(spec)]
    if all(point.scenario is None for point in found):
        raise InputError(f"none of the {len(found):,} points is a valid scenario; the first: {found[0].reason}")
    return found


def identity(found: list[Point]) -> str:
    """A digest of a whole sweep: its points, what they depend on, and the version that simulates them."""
    return _digest([__version__, [(point.key, point.settings) for point in found]])


def without_folders(text: str, values: Any) -> str:
    """A text in which files that plain values name by absolute paths are named without their folders."""
    if isinstance(values, dict | list):
        for inner in values.values() if isinstance(values, dict) else values:
            text = without_folders(text, inner)
    elif isinstance(values, str) and Path(values).is_absolute():
        text = text.replace(values, Path(values).name)
    return text


def _base(spec: SweepSpec, folder: Path) -> dict[str, Any]:
    """The plain values of the scenario that all points start from, with absolute paths."""
    values: object = copy.deepcopy(spec.scenario)
    if isinstance(values, str):
        path = _scenario_file(values, folder)
        values, folder = load_yaml(path), path.resolve().parent
    if not isinstance(values, dict):
        raise InputError(f"scenario: {spec.scenario} is not a mapping of fields")
    kind = values.get("kind", "serving")
    if kind not in KINDS:
        raise unknown_name("kind of scenario in a sweep", kind, KINDS)
    anchor_experiment(values, folder)
    return values


def _scenario_file(name: str, folder: Path) -> Path:
    if (folder / name).is_file():
        return folder / name
    known = shipped(SCENARIOS)
    if name not in known:
        raise unknown_name("scenario", name, known, remedy=f"(nor is there such a file in {folder})")
    return known[name]


def _fields(values: dict[str, Any]) -> type[Part]:
    kind = summarised_kind(values)
    return kind.fields if kind is not None else Cascade if values.get("kind") == "cascade" else Scenario


def _refuse_overlaps(names: list[str], fields: type[Part]) -> None:
    """Raise `InputError` for names, in the order in which they are set, of which one undoes what another set."""
    earlier: dict[str, str] = {}
    for name in names:
        path = full_name(name, fields)
        for before, given in earlier.items():
            if before == path:
                same = name if name == given else f"{given} and {name}, which are one field,"
                raise InputError(f"{same} would be set twice: leave one of the two out")
            if before.startswith(f"{path}."):
                raise InputError(f"{name} would replace {given}, which is a part of it: give {name} before it")
        earlier[path] = name


def _point(base: dict[str, Any], settings: Settings, fields: type[Part], folder: Path) -> Point:
    values = copy.deepcopy(base)
    try:
        lay_over(values, copy.deepcopy(settings), fields)
        anchor_experiment(values, folder)
        scenario = scenario_of(values)
    except InputError as error:
        return Point(settings, None, _digest(["invalid", settings]), without_folders(str(error), values))
    return Point(settings, scenario, _digest(_with_contents(scenario.model_dump(mode="json"))))


def _with_contents(value: Any) -> Any:
    """Plain data in which every file is known by what it holds and not by where it is."""
    if isinstance(value, dict):
        return {key: _with_contents(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_contents(inner) for inner in value]
    if isinstance(value, str) and Path(value).is_absolute():
        file = Path(value)
        return _contents(file, file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else file.name
    return value


@lru_cache(maxsize=4096)
def _contents(path: Path, changed_ns: int, size: int) -> str:
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]
