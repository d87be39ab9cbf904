"""Runs: `simulator replay`, `simulator run` and `simulator train` as functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.api.outcome import Outcome, View
from simulator.api.reading import Given, Settings, checked, read_published, read_scenario, read_training
from simulator.errors import InputError
from simulator.kinds import Experiment, only_serving, run_experiment, simulate
from simulator.report.sections import scenario_text
from simulator.specs.part import Part

if TYPE_CHECKING:
    from simulator.experiment import Result

Progress = Callable[[int], None]


def replay(
    trace: str | Path,
    *,
    model: str,
    device: str,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    replicas: int = 1,
    policy: str | type[Any] = "vllm-v1",
    limit: int | None = None,
    speed_up: float = 1.0,
    settings: Settings | None = None,
    uncertainty: int = 0,
    metrics: bool = False,
    on_progress: Progress | None = None,
) -> Outcome:
    """Replay a request trace through `replicas` copies of a model, as `simulator replay` does.

    `policy` batches requests: a name, `module:Class` or the class itself. `settings` sets any other field of a
    scenario by its name, such as `{"max_num_seqs": 128, "kv_cache.blocks": 2588}`. Raises `InputError` for anything
    that cannot be used.
    """
    values: dict[str, object] = {
        "model": model,
        "device": device,
        "replicas": replicas,
        "parallel": {"tensor": tensor_parallel, "pipeline": pipeline_parallel},
        "batching": {"policy": policy},
        "load": {"trace": str(trace), "limit": limit, "speed_up": speed_up},
    }
    return run(values, settings=settings, uncertainty=uncertainty, metrics=metrics, on_progress=on_progress)


def run(
    scenario: Given,
    *,
    settings: Settings | None = None,
    uncertainty: int = 0,
    metrics: bool = False,
    on_progress: Progress | None = None,
) -> Outcome:
    """Run a scenario of any kind, as `simulator run` does: a path of a YAML file, plain data, or a validated object.

    `settings` are laid over it by dotted or short name, as `--set` does. With `uncertainty` N a serving scenario is
    run N times more with kernel times redrawn, for 90 % intervals of its figures; with `metrics` the run of one
    deployment keeps what `Outcome.metrics` and `save` write over time. `on_progress` is called now and then with the
    number of requests submitted so far. Raises `InputError` for anything that cannot be used.
    """
    published = read_published(scenario)
    if published is not None:
        from simulator.api.published import run_published

        if settings or uncertainty or metrics:
            raise InputError("a published system takes no settings, uncertainty or metrics: change both of its sides")
        return run_published(*published)
    found = read_scenario(scenario, checked(settings))
    return outcome_of(found, _stem(scenario), uncertainty=uncertainty, metrics=metrics, on_progress=on_progress)


def train(scenario: Given, *, settings: Settings | None = None) -> Outcome:
    """Run a training scenario of any kind, as `simulator train` does; a mapping without `kind` is a training step."""
    return outcome_of(read_training(scenario, checked(settings)), _stem(scenario), again="simulator train")


def outcome_of(
    scenario: Part,
    stem: str = "",
    *,
    uncertainty: int = 0,
    metrics: bool = False,
    on_progress: Progress | None = None,
    again: str = "simulator run",
) -> Outcome:
    """Simulate a validated scenario of any kind to its end; `stem` names it where it has no name."""
    kind = str(getattr(scenario, "kind", ""))
    result: Any
    if isinstance(scenario, Experiment):
        result, view = _served(scenario, uncertainty, metrics, on_progress)
    else:
        for name, given in (("uncertainty", uncertainty), ("metrics", metrics)):
            if given:
                raise InputError(f"{name} is not modelled for kind {kind}: leave it out")
        result = simulate(scenario)
        view = _summarised(kind, result)
    return Outcome(
        kind=kind,
        name=str(getattr(scenario, "name", "") or stem or kind),
        figures=plain(result.summary),
        result=result,
        scenario_yaml=scenario_text(scenario),
        again=f"{again} scenario.yaml",
        view=view,
    )


def _served(scenario: Experiment, uncertainty: int, metrics: bool, on_progress: Progress | None) -> tuple[Result, View]:
    from simulator.api.views_serving import serving_view
    from simulator.engine.gaps import dated_recorder

    redrawn = only_serving(scenario, "uncertainty") if uncertainty else None
    recorder = dated_recorder() if metrics and only_serving(scenario, "metrics") else None
    result = run_experiment(scenario, on_progress=on_progress, recorder=recorder)
    if redrawn is not None:
        from simulator.uncertainty import intervals

        result.summary["intervals"] = intervals(redrawn, uncertainty)
    return result, serving_view(result, metrics=metrics)


def _summarised(kind: str, result: Any) -> View:
    if kind == "training":
        from simulator.api.views_training import training_view

        return training_view(result)
    from simulator.api.views_summarised import summarised_view

    return summarised_view(kind)


def plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures as the JSON file holds them: lists for tuples, texts for keys, Python's own numbers."""
    found: dict[str, Any] = json.loads(json.dumps(figures, allow_nan=False))
    return found


def _stem(given: Given) -> str:
    return Path(given).stem if isinstance(given, str | Path) else ""
