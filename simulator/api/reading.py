"""What users hand over as a scenario: a path of a YAML file, plain data, or an object that was validated before."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from simulator.api.own_classes import named_classes
from simulator.cascade.spec import Cascade
from simulator.errors import InputError, unknown_name
from simulator.kinds import (
    TRAINING,
    load,
    load_summarised,
    load_training_kind,
    scenario_of,
    summarised_kind,
)
from simulator.planning.spec import PlanSpec, load_plan, plan_from
from simulator.published import Published, is_published, load_published
from simulator.scenario import Scenario
from simulator.shipped import PLANS, SCENARIOS, file_of
from simulator.specs.part import Part
from simulator.specs.settings import lay_over
from simulator.specs.training_plan import TrainingPlan
from simulator.specs.validating import validated
from simulator.yaml_io import load_yaml

Given = str | Path | Mapping[str, object] | BaseModel
Settings = Mapping[str, object] | Sequence[str]
Model = TypeVar("Model", bound=BaseModel)


def named(given: Given, folder: Path = SCENARIOS) -> Given:
    """A path, or that of the file of this name that comes with the package; anything else as it is."""
    return file_of(given, folder) if isinstance(given, str | Path) else given


def read_scenario(given: Given, settings: Settings = ()) -> Part:
    """A scenario of any kind that `simulator run` takes but published ones, with `settings` laid over it.

    A file is given by its path or, of those that come with the package, by its name. Paths inside it are relative to
    it, those in plain data to the working directory. A class may stand for its `module:Class`. Raises `InputError` for
    what cannot be used.
    """
    given = named(given)
    if isinstance(given, str | Path):
        return load(given, settings)
    return _from_values(given, settings, _whole, Part, scenario_of)


def read_training(given: Given, settings: Settings = ()) -> Part:
    """A scenario of training of any kind, a step where no kind is given; else as `read_scenario`."""
    given = named(given)
    if isinstance(given, str | Path):
        return load_training_kind(given, settings)
    if isinstance(given, Mapping):
        given = {"kind": "training", **given}
    found = read_scenario(given, settings)
    if getattr(found, "kind", "") not in TRAINING:
        raise unknown_name("kind of training", getattr(found, "kind", ""), TRAINING, remedy="(run takes all kinds)")
    return found


def read_plan(given: Given, settings: Settings = ()) -> PlanSpec | TrainingPlan:
    """A question of capacity, or of the layout of training; else as `read_scenario`."""
    given = named(given, PLANS)
    if isinstance(given, str | Path):
        values = load_yaml(given)
        if isinstance(values, dict) and values.get("kind") == "training-plan":
            return validated_as(TrainingPlan, load_summarised(given, settings), "a plan")
        found = load_plan(given)
        return read_plan(found, settings) if settings else found
    layouts = given if isinstance(given, TrainingPlan) else isinstance(given, Mapping) and given.get("kind")
    if isinstance(given, TrainingPlan) or layouts == "training-plan":
        return validated_as(TrainingPlan, read_scenario(given, settings), "a plan")
    return _from_values(given, settings, lambda values: PlanSpec, PlanSpec, plan_from)


def read_published(given: Given) -> tuple[Published, Path] | None:
    """A published system with the folder that its paths are relative to; None for anything else."""
    given = named(given)
    if isinstance(given, Published):
        return given, Path()
    if isinstance(given, str | Path):
        return (load_published(given), Path(given).parent) if is_published(given) else None
    if isinstance(given, Mapping) and given.get("kind") == "published":
        return validated(Published, dict(given), "a published system"), Path()
    return None


def validated_as(kind: type[Model], found: BaseModel, what: str) -> Model:
    """The object, if it is of this kind. Raises `InputError` otherwise."""
    if not isinstance(found, kind):
        raise InputError(f"this is of kind {getattr(found, 'kind', type(found).__name__)}, not {what}")
    return found


def _from_values(
    given: object,
    settings: Settings,
    whole: Callable[[Mapping[str, object]], type[BaseModel]],
    usual: type[Model],
    read: Callable[[object], Model],
) -> Model:
    """Plain data, or an object as what it was made of, with `settings` laid over it by the fields of a `whole`."""
    if isinstance(given, usual) and not settings:
        return given
    if isinstance(given, usual):
        values = {"kind": getattr(given, "kind", ""), **given.model_dump(exclude_unset=True)}
    elif isinstance(given, Mapping):
        values = copy.deepcopy(named_classes(given))
    else:
        raise InputError(f"{type(given).__name__} is no scenario: give a path, a mapping of fields, or a validated one")
    lay_over(values, settings, whole(values))
    return read(values)


def checked(settings: Settings | None) -> Settings:
    """Settings as they are, none for None. Raises `InputError` for a text, which is no list of texts, and the like."""
    if settings is not None and (isinstance(settings, str) or not isinstance(settings, Mapping | Sequence)):
        raise InputError('settings is no mapping: give one, such as {"max_num_seqs": 128}, or a list of "key=value"')
    return named_classes(settings or ())  # type: ignore[no-any-return]


def _whole(values: Mapping[str, object]) -> type[BaseModel]:
    """The fields of the kind that plain values name."""
    kind = summarised_kind(values)
    if kind is not None:
        return kind.fields
    return Cascade if values.get("kind") == "cascade" else Scenario
