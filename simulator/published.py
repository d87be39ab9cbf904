"""Published systems as runnable comparisons: a system against its baseline, and the ratio that its paper reports.

A file names the paper, a scenario that both sides share, what differs, and what is measured. Nothing in it is a speed:
the ratio follows from what the two sides do to batches, operators, bytes and queues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from simulator.counted import OnCount, counted
from simulator.errors import InputError, unknown_name
from simulator.kinds import (
    Experiment,
    anchor_experiment,
    only_requests,
    only_serving,
    run_experiment,
    scenario_of,
    simulate,
)
from simulator.scenario import Scenario
from simulator.shipped import SCENARIOS
from simulator.specs.part import Fields, Part
from simulator.yaml_io import load_yaml

if TYPE_CHECKING:
    from simulator.experiment import Result

# Bisection of the load stops when it is known to this share.
CAPACITY_TOLERANCE = 0.03
MOST_DOUBLINGS = 12


class Paper(Fields):
    """Where the system was published; `source` is what one can look up."""

    system: str
    title: str
    source: str


class Measure(Fields):
    """What is compared: a `figure` of the summary, or the `capacity`, the highest load within bounds.

    A figure is a dotted path such as "latency_ms.e2e.mean"; `better` says which way. The capacity is the largest
    multiple of the load's rate at which every figure named `at_most` and `at_least` keeps its bound, by device. To
    `search` "replicas" is to find the most of these instead, each of which brings its own share of the load.
    Beside a figure, bounds say what both sides have to keep at the load as it is.
    """

    figure: str | None = None
    better: Literal["higher", "lower"] = "higher"
    per_device: bool = False
    at_most: dict[str, float] = Field(default={})
    at_least: dict[str, float] = Field(default={})
    search: Literal["load", "replicas"] = "load"

    @model_validator(mode="after")
    def _one_kind(self) -> Measure:
        if self.figure is None and not self.at_most and not self.at_least:
            raise ValueError("give either figure, or bounds of a capacity (at_most, at_least)")
        if self.figure is not None and self.search != "load":
            raise ValueError("search is of a capacity: give bounds (at_most, at_least) in place of figure")
        return self


class Reported(Fields):
    """The paper's ratio, or None where its abstract gives none or it is not stated here; `says` in its words."""

    ratio: Annotated[float, Field(gt=0)] | None = None
    says: str


class Published(Fields):
    """A system, its baseline, and what the paper reports; `miss` explains in one line a ratio that differs."""

    kind: Literal["published"]
    name: str
    paper: Paper
    scenario: dict[str, Any]
    baseline: dict[str, Any]
    system: dict[str, Any]
    measure: Measure
    reported: Reported
    assumptions: list[str]
    miss: str = ""


@dataclass(frozen=True, slots=True)
class Sides:
    """What was measured on either side, and how many times better the system is."""

    baseline: float
    system: float
    ratio: float


def load_published(path: str | Path) -> Published:
    """Read one file. Raises `InputError` naming the first wrong field."""
    values = load_yaml(path)
    try:
        return Published.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(k) for k in problem["loc"])
        raise InputError(f"{field or 'file'}: {problem['msg']}", file=path) from None


def published_files() -> list[Path]:
    """The files of all published systems that come with the package."""
    return [p for p in sorted(SCENARIOS.rglob("*.yaml")) if _is_published(load_yaml(p))]


def is_published(path: str | Path) -> bool:
    """Whether a file describes a published system and not one scenario."""
    return _is_published(load_yaml(path))


def _is_published(values: object) -> bool:
    return isinstance(values, dict) and values.get("kind") == "published"


def sides(found: Published, folder: Path | None = None) -> tuple[Part, Part]:
    """The scenarios of the baseline and of the system; relative paths are relative to `folder`."""
    baseline, system = (_laid_over(found.scenario, part) for part in (found.baseline, found.system))
    for values in (baseline, system):
        anchor_experiment(values, folder or Path())
    return scenario_of(baseline), scenario_of(system)


def compare_sides(found: Published, folder: Path | None = None) -> Sides:
    """Run both sides and give the ratio by which the system is better."""
    baseline, system = (measured(side, found.measure) for side in sides(found, folder))
    higher = found.measure.figure is None or found.measure.better == "higher"
    return Sides(baseline, system, system / baseline if higher else baseline / system)


def predict_all(
    names: Sequence[str], *, jobs: int = -1, on_count: OnCount | None = None
) -> dict[str, dict[str, float | None]]:
    """Both sides and the predicted and reported ratio of each system, by its scenario's name."""
    from joblib import Parallel, delayed

    known = {name_of(path): path for path in published_files()}
    for name in names:
        if name not in known:
            raise unknown_name("published system", name, known)
    chosen = list(names or known)
    loaded = {name: load_published(known[name]) for name in chosen}
    workers = Parallel(n_jobs=jobs, return_as="generator")
    runs = workers(delayed(compare_sides)(loaded[n], known[n].parent) for n in chosen)
    found = list(counted(runs, len(chosen), on_count))
    return {
        name: {
            "baseline": s.baseline,
            "system": s.system,
            "predicted": s.ratio,
            "reported": loaded[name].reported.ratio,
        }
        for name, s in zip(chosen, found, strict=True)
    }


def name_of(path: Path) -> str:
    """A scenario's name: its path below the package's scenarios."""
    return path.relative_to(SCENARIOS).with_suffix("").as_posix()


def measured(scenario: Part, measure: Measure) -> float:
    """The figure of a run, or the capacity in requests a second and device, or in replicas.

    Raises `InputError` for a figure of a run that breaks a bound, which says nothing.
    """
    if measure.figure is None and measure.search == "replicas":
        return most_replicas(only_serving(scenario, "search replicas"), measure)
    if measure.figure is None:
        return capacity(only_requests(scenario, "a capacity"), measure)
    summary = simulate(scenario).summary
    for name in broken_bounds(summary, measure):
        found = figure_of(summary, name)
        raise InputError(f"measure: {name} is {found:.4g}, out of its bound: change the load or that side")
    value = figure_of(summary, measure.figure)
    return value / devices_of(summary) if measure.per_device else value


def devices_of(summary: Mapping[str, Any]) -> int:
    """How many devices a run used. Raises `InputError` for a summary that does not say."""
    place = "deployment" if "deployment" in summary else "layout"
    return int(figure_of(summary, f"{place}.devices"))


def capacity(scenario: Experiment, measure: Measure) -> float:
    """The highest rate of requests, by device, at which the bounds hold: doubling, then bisection."""

    def holds(factor: float) -> Result | None:
        load = scenario.load.model_copy(update={"speed_up": scenario.load.speed_up * factor})
        result = run_experiment(scenario.model_copy(update={"load": load}))
        return None if broken_bounds(result.summary, measure) else result

    low, best = 1.0, holds(1.0)
    step = 2.0 if best else 0.5
    for _ in range(MOST_DOUBLINGS):
        found = holds(low * step)
        if (found is None) == (step > 1.0):
            break
        low, best = low * step, found or best
    if step < 1.0:
        low, best = low * step, found
    if best is None:
        return 0.0
    high = 2.0 * low
    while high / low > 1.0 + CAPACITY_TOLERANCE:
        middle = (low * high) ** 0.5
        found = holds(middle)
        low, high, best = (middle, high, found) if found else (low, middle, best)
    return _offered(best) / int(best.summary["deployment"]["devices"])


def most_replicas(scenario: Scenario, measure: Measure) -> int:
    """The most replicas with which the bounds hold, and no more than a power budget sets watts aside for.

    The load's rate is the scenario's own with its own replicas and grows with them. 0 if not even one will do.
    """
    budgeted = None if scenario.power is None else scenario.power.most_servers
    most = budgeted or scenario.replicas << MOST_DOUBLINGS

    def holds(replicas: int) -> bool:
        speed_up = scenario.load.speed_up * replicas / scenario.replicas
        load = scenario.load.model_copy(update={"speed_up": speed_up})
        more = scenario.model_copy(update={"load": load, "replicas": replicas})
        return not broken_bounds(run_experiment(more).summary, measure)

    low, high = 0, min(scenario.replicas, most)
    while holds(high):
        if high == most:
            return most
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def broken_bounds(summary: Mapping[str, Any], measure: Measure) -> list[str]:
    """The figures that are not within the bounds of a measure."""
    over = [name for name, bound in measure.at_most.items() if not figure_of(summary, name) <= bound]
    return over + [name for name, bound in measure.at_least.items() if not figure_of(summary, name) >= bound]


def _offered(result: Result) -> float:
    """Requests a second as they arrive."""
    arrivals = result.request_columns["arrival_s"]
    return (len(arrivals) - 1) / float(arrivals.max() - arrivals.min())


def figure_of(summary: Mapping[str, Any], path: str) -> float:
    """A number of a summary by its dotted path. Raises `InputError` if there is none."""
    value: Any = summary
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            known = list(value) if isinstance(value, Mapping) else []
            raise unknown_name("figure", path, known)
        value = value[key]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"figure {path} is {value!r}, not a number")
    return float(value)


def _laid_over(base: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `part` laid over it, mapping by mapping; None takes a field away."""
    found = {k: _laid_over(v, {}) if isinstance(v, Mapping) else v for k, v in base.items()}
    for key, value in part.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            found[key] = _laid_over(found[key], value)
        else:
            found[key] = value
    return found
