"""Kinds of scenario that serve a load, told apart by the field `kind`: how each is read and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.cascade.run import run_cascade
from simulator.cascade.spec import Cascade
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.scenario import Scenario, anchor, scenario_from
from simulator.specs.settings import lay_over
from simulator.specs.validating import validated
from simulator.yaml_io import loads_yaml, read_text

Experiment = Scenario | Cascade


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
    """Make relative paths of files in plain values of either kind relative to `folder`, in place."""
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
    experiment: Experiment, *, on_progress: Callable[[int], None] | None = None, keep_iterations: bool = True
) -> Result:
    """Simulate a scenario of either kind to its end, as `experiment.run` does."""
    if isinstance(experiment, Cascade):
        return run_cascade(experiment, on_progress=on_progress, keep_iterations=keep_iterations)
    return run(experiment, on_progress=on_progress, keep_iterations=keep_iterations)


def only_serving(experiment: Experiment, what: str) -> Scenario:
    """The scenario, if it is of one deployment. Raises `InputError` for another kind, for which there is no `what`."""
    if isinstance(experiment, Cascade):
        raise InputError(f"{what} is not modelled for kind cascade: leave it out")
    return experiment


def _is_cascade(values: object) -> bool:
    return isinstance(values, dict) and values.get("kind") == "cascade"
