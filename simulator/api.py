"""The main job as one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.experiment import Result, run
from simulator.scenario import Scenario, apply_overrides, scenario_from


def replay(
    trace: str | Path,
    *,
    model: str,
    device: str,
    tensor_parallel: int = 1,
    replicas: int = 1,
    policy: str = "vllm-v1",
    limit: int | None = None,
    speed_up: float = 1.0,
    settings: dict[str, Any] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Result:
    """Replay a request trace through `replicas` copies of a model.

    `settings` sets any other field of a scenario by its name, such as `{"max_num_seqs": 128,
    "kv_cache.blocks": 2588}`. Raises `InputError` for anything that cannot be used.
    """
    values = {
        "model": model,
        "device": device,
        "replicas": replicas,
        "parallel": {"tensor": tensor_parallel},
        "batching": {"policy": policy},
        "load": {"trace": str(trace), "limit": limit, "speed_up": speed_up},
    }
    return run(scenario_of(values, settings or {}), on_progress=on_progress)


def scenario_of(values: dict[str, Any], settings: dict[str, Any]) -> Scenario:
    """A scenario from nested values with `settings` (by full or short name) laid over them."""
    apply_overrides(values, settings)
    return scenario_from(values)
