"""A discrete-event performance simulator for machine-learning systems.

import simulator
result = simulator.replay("traces/azure-like-conversation.csv.gz",
                          model="meta-llama/Llama-3.1-70B", device="nvidia-h100-sxm-80gb",
                          tensor_parallel=4, replicas=8)
result.summary["latency_ms"]["ttft"]["p99"], result.requests, result.timeseries
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.api import replay
    from simulator.comparison.compare import Comparison, compare
    from simulator.experiment import Result, run
    from simulator.kinds import load_experiment, run_experiment
    from simulator.planning.plan import plan
    from simulator.planning.spec import load_plan
    from simulator.scenario import Scenario, load_scenario

__version__ = "0.1.0"

__all__ = [
    "Comparison", "InputError", "Result", "Scenario", "__version__", "compare", "load_experiment", "load_plan",
    "load_scenario", "plan", "replay", "run", "run_experiment",
]  # fmt: skip

_HOMES = {
    "replay": "simulator.api",
    "run": "simulator.experiment",
    "compare": "simulator.comparison.compare",
    "Comparison": "simulator.comparison.compare",
    "plan": "simulator.planning.plan",
    "load_plan": "simulator.planning.spec",
    "Result": "simulator.experiment",
    "Scenario": "simulator.scenario",
    "load_scenario": "simulator.scenario",
    "load_experiment": "simulator.kinds",
    "run_experiment": "simulator.kinds",
}


def __getattr__(name: str) -> Any:
    """Load the public names when they are first used, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'simulator' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
