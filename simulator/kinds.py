"""Kinds of scenario, told apart by the field `kind`: how each is read and run.

An `Experiment` serves requests; the kinds of `TRAINING` and of `GRAPHS` have none and are known by their summaries.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from simulator.cascade.spec import Cascade
from simulator.errors import InputError, unknown_name
from simulator.scenario import Scenario, anchor, scenario_from
from simulator.specs.part import Part
from simulator.specs.settings import lay_over
from simulator.specs.validating import validated
from simulator.yaml_io import load_yaml, loads_yaml, read_text

if TYPE_CHECKING:
    from simulator.engine.recorder import Recorder
    from simulator.experiment import Result

Experiment = Scenario | Cascade


class Summarised(Protocol):
    """What a run gives: headline figures as nested plain data; names carry their units."""

    @property
    def summary(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """Where the parts of a kind of scenario are, each as `module:name`, imported when it is asked for.

    `specification` is the class of its fields, `simulation` the function that runs it, `anchoring` the one that makes
    paths in its plain values relative to a folder, in place.
    """

    specification: str
    simulation: str
    anchoring: str | None = None

    @property
    def fields(self) -> type[Part]:
        return _imported(self.specification)  # type: ignore[no-any-return]

    def run(self, scenario: Part) -> Summarised:
        return _imported(self.simulation)(scenario)  # type: ignore[no-any-return]

    def anchor(self, values: dict[str, Any], folder: Path) -> None:
        if self.anchoring is not None:
            _imported(self.anchoring)(values, folder)


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


TRAINING: dict[str, Kind] = {
    "training": Kind(
        "simulator.specs.training:TrainingScenario", "simulator.training:train", "simulator.training:anchor_training"
    ),
    "training-plan": Kind(
        "simulator.specs.training_plan:TrainingPlan",
        "simulator.planning.training.plan:plan_training",
        "simulator.training:anchor_training",
    ),
    "rounds": Kind("simulator.specs.rounds:RoundsScenario", "simulator.rounds:simulate_rounds"),
    "federated": Kind("simulator.specs.federated:FederatedScenario", "simulator.federated:simulate_federation"),
}
GRAPHS: dict[str, Kind] = {
    "inference": Kind(
        "simulator.specs.inference:InferenceScenario",
        "simulator.inference:infer",
        "simulator.inference:anchor_inference",
    ),
    "network-search": Kind(
        "simulator.specs.network_search:NetworkSearch",
        "simulator.planning.networks.search:search_networks",
        "simulator.planning.networks.search:anchor_search",
    ),
    "pipeline": Kind(
        "simulator.specs.pipeline.scenario:PipelineScenario",
        "simulator.pipelines:run_pipeline",
        "simulator.pipelines:anchor_pipeline",
    ),
}


def summarised_kind(values: object) -> Kind | None:
    """The kind of training or of operator graph that plain values describe, None for requests that are served."""
    return {**TRAINING, **GRAPHS}.get(str(values.get("kind"))) if isinstance(values, dict) else None


def is_summarised(path: str | Path) -> bool:
    """Whether a file describes training or an operator graph."""
    return summarised_kind(load_yaml(path)) is not None


def is_training_step(path: str | Path) -> bool:
    """Whether a file describes the step of a training run."""
    values = load_yaml(path)
    return isinstance(values, dict) and values.get("kind") == "training"


def scenario_of(values: object, *, file: str | Path | None = None, text: str | None = None) -> Part:
    """Validate plain data of any kind; errors as for `scenario_from`."""
    kind = summarised_kind(values)
    if kind is not None:
        return validated(kind.fields, values, "a scenario", file=file, text=text)
    return experiment_from(values, file=file, text=text)


def load(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Part:
    """Read a YAML scenario of any kind; paths and `overrides` as for `load_scenario`."""
    return load_summarised(path, overrides) if is_summarised(path) else load_experiment(path, overrides)


def load_training_kind(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Part:
    """Read a YAML scenario of training of any kind, the usual one where none is given, as `load_summarised` does."""
    values = load_yaml(path)
    if isinstance(values, dict) and "kind" in values and values["kind"] not in TRAINING:
        remedy = "(simulator run takes all other kinds)"
        raise unknown_name("kind of training", values["kind"], TRAINING, remedy=remedy, file=path)
    return load_summarised(path, overrides)


def load_summarised(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Part:
    """Read a YAML scenario of training or of an operator graph; paths and `overrides` as for `load_scenario`."""
    text = read_text(path)
    values = loads_yaml(text, file=path)
    kind = summarised_kind(values) or TRAINING["training"]
    if isinstance(values, dict):
        kind.anchor(values, Path(path).parent)
        lay_over(values, overrides, kind.fields)
    return validated(kind.fields, values, "a scenario", file=path, text=text)


def simulate(scenario: Part) -> Summarised:
    """Simulate a scenario of any kind to its end."""
    if isinstance(scenario, Experiment):
        return run_experiment(scenario)
    return {**TRAINING, **GRAPHS}[getattr(scenario, "kind", "")].run(scenario)


def experiment_from(values: object, *, file: str | Path | None = None, text: str | None = None) -> Experiment:
    """Validate plain data of either kind; errors as for `scenario_from`."""
    if _is_cascade(values):
        return validated(Cascade, values, "a scenario", file=file, text=text)
    return scenario_from(values, file=file, text=text)


def load_experiment(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Experiment:
    """Read a YAML scenario of either kind; paths and `overrides` as for `load_scenario`."""
    text = read_text(path)
    values = loads_yaml(text, file=path)
    if isinstance(values, dict):
        anchor_experiment(values, Path(path).parent)
        override(values, overrides)
    return experiment_from(values, file=path, text=text)


def override(values: dict[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> None:
    """Lay settings over plain values of either kind in place, as `apply_overrides` does."""
    lay_over(values, overrides, Cascade if _is_cascade(values) else Scenario)


def anchor_experiment(values: dict[str, Any], folder: Path) -> None:
    """Make relative paths of files in plain values of any kind relative to `folder`, in place."""
    kind = summarised_kind(values)
    if kind is not None:
        kind.anchor(values, folder)
        return
    anchor(values, folder)
    pools = values.get("pools")
    for pool in pools.values() if _is_cascade(values) and isinstance(pools, dict) else ():
        if isinstance(pool, dict):
            anchor(pool, folder)


def plain(experiment: Experiment) -> dict[str, Any]:
    """The fields that differ from the usual ones as plain data, from which the same experiment can be read."""
    values = experiment.model_dump(exclude_defaults=True)
    return {"kind": experiment.kind, **values} if isinstance(experiment, Cascade) else values


def run_experiment(
    experiment: Experiment,
    *,
    on_progress: Callable[[int], None] | None = None,
    keep_iterations: bool = True,
    recorder: Recorder | None = None,
) -> Result:
    """Simulate a scenario of either kind to its end, as `experiment.run` does; a cascade takes no `recorder`."""
    if isinstance(experiment, Cascade):
        from simulator.cascade.run import run_cascade

        return run_cascade(experiment, on_progress=on_progress, keep_iterations=keep_iterations)
    from simulator.experiment import run

    return run(experiment, on_progress=on_progress, keep_iterations=keep_iterations, recorder=recorder)


def only_serving(scenario: Part, what: str) -> Scenario:
    """The scenario, if it is of one deployment. Raises `InputError` for another kind, for which there is no `what`."""
    if isinstance(scenario, Scenario):
        return scenario
    raise _not_modelled(scenario, what)


def only_requests(scenario: Part, what: str) -> Experiment:
    """The scenario, if it serves requests. Raises `InputError` for training, for which there is no `what`."""
    if isinstance(scenario, Experiment):
        return scenario
    raise _not_modelled(scenario, what)


def _not_modelled(scenario: Part, what: str) -> InputError:
    return InputError(f"{what} is not modelled for kind {getattr(scenario, 'kind', '')}: leave it out")


def _is_cascade(values: object) -> bool:
    return isinstance(values, dict) and values.get("kind") == "cascade"
