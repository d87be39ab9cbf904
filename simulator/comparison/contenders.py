"""What is compared: scenarios that serve the same requests under the same seed, load and objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.kinds import Experiment, experiment_from, load_experiment, override
from simulator.specs.load import LoadSpec
from simulator.specs.part import Part
from simulator.workloads.catalogue import load_generator

Given = str | Path | Experiment
Settings = Sequence[str] | Mapping[str, Any]


@dataclass(frozen=True)
class Contender:
    """A scenario under the short name that tables give it; `changes` are its fields that differ from the baseline's."""

    label: str
    scenario: Experiment
    changes: dict[str, tuple[Any, Any]]


def contenders(given: Sequence[Given], settings: Settings = ()) -> tuple[tuple[Contender, ...], list[str]]:
    """The scenarios with `settings` laid over each, all under the first one's load, seed and objectives.

    Also returns a note for each field that was taken from the first. Raises `InputError` for fewer than two
    scenarios, for a file that cannot be used, and for loads of different requests, which cannot be paired.
    """
    if len(given) < 2:
        raise InputError("compare needs two scenarios or more, the first of which is the baseline")
    read = [_read(g, settings) for g in given]
    labels = labels_of(given)
    first, found, notes = read[0], [], []
    for label, scenario in zip(labels, read, strict=True):
        _refuse_other_requests(first.load, scenario.load, labels[0], label)
        notes += [
            f"{name} of {labels[0]} ({_shown(own)}) is used for {label} too, which has {_shown(theirs)}"
            for name, (own, theirs) in differences(_shared(first), _shared(scenario)).items()
        ]
        alike = scenario.model_copy(
            update={"load": first.load, "seed": first.seed, "objectives": first.objectives}
        )  # the scenarios' own requests are the same by now
        changes = differences(first.model_dump(exclude={"name"}), alike.model_dump(exclude={"name"}))
        found.append(Contender(label, alike, changes))
    return tuple(found), notes


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted names of the fields of nested plain data whose values differ, with both values."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*one, *other]):
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found |= {f"{key}.{inner}": pair for inner, pair in differences(a, b).items()}
        elif a != b:
            found[key] = a, b
    return found


def _read(given: Given, settings: Settings) -> Experiment:
    if isinstance(given, Experiment):
        values = given.model_dump(exclude_unset=True) | {"kind": given.kind}
        override(values, settings)
        return experiment_from(values)
    return load_experiment(given, settings)


def labels_of(given: Sequence[str | Path | Part]) -> list[str]:
    """File names without ending, names of scenarios, or their numbers; repeated ones are numbered."""
    names = [
        Path(g).stem if isinstance(g, str | Path) else (getattr(g, "name", "") or f"scenario {i + 1}")
        for i, g in enumerate(given)
    ]
    return [n if names.index(n) == i else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]


def _refuse_other_requests(first: LoadSpec, load: LoadSpec, baseline: str, label: str) -> None:
    if first.limit != load.limit:
        raise InputError(
            f"{label}: load.limit is {_shown(load.limit)} and that of {baseline} is {_shown(first.limit)}, so the "
            "numbers of requests may differ: give all the same with --set load.limit=N"
        )
    for name, own, theirs in (
        ("trace", _trace(first), _trace(load)),
        ("generator", _generator(first), _generator(load)),
    ):
        if own != theirs:
            raise InputError(
                f"{label}: load.{name} is not that of {baseline}, and only equal requests can be paired: "
                "give all scenarios the same trace or generator"
            )


def _trace(load: LoadSpec) -> Path | None:
    return None if load.trace is None else Path(load.trace).resolve()


def _generator(load: LoadSpec) -> dict[str, Any] | None:
    return load_generator(load.generator) if isinstance(load.generator, str) else load.generator


def _shared(scenario: Experiment) -> dict[str, Any]:
    """What all scenarios have in common in a comparison, without the requests themselves."""
    load = scenario.load.model_dump(exclude={"trace", "generator", "limit"})
    return {"load": load, "seed": scenario.seed, "objectives": scenario.objectives.model_dump()}


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
