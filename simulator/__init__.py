"""A discrete-event performance simulator for machine-learning systems.

import simulator
run = simulator.replay("traces/azure-like-conversation.csv.gz",
                       model="meta-llama/Llama-3.1-70B", device="nvidia-h100-sxm-80gb",
                       tensor_parallel=4, replicas=8)
run.summary["latency_ms.ttft.p99"], run.requests, run.timeseries

Each function does what the command of its name does; a scenario is a path of a YAML file, plain data, or an object
that `load_scenario` and its like return. What cannot be used raises `InputError` with one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.api.calibrating import Calibrated, calibrate_machine
    from simulator.api.catalogue import catalogue, devices, models
    from simulator.api.comparing import compare
    from simulator.api.explaining import explain
    from simulator.api.exporting import export
    from simulator.api.outcome import Outcome
    from simulator.api.planning import plan
    from simulator.api.running import replay, run, train
    from simulator.api.validating import validate
    from simulator.kinds import load_experiment
    from simulator.planning.spec import load_plan
    from simulator.scenario import Scenario, load_scenario
    from simulator.sweeping import sweep

__version__ = "0.1.0"

__all__ = [
    "Calibrated", "InputError", "Outcome", "Scenario", "__version__", "calibrate_machine", "catalogue", "compare",
    "devices", "explain", "export", "load_experiment", "load_plan", "load_scenario", "models", "plan", "replay", "run",
    "sweep", "train", "validate",
]  # fmt: skip

_HOMES = {
    "Outcome": "simulator.api.outcome",
    "replay": "simulator.api.running",
    "run": "simulator.api.running",
    "train": "simulator.api.running",
    "compare": "simulator.api.comparing",
    "plan": "simulator.api.planning",
    "sweep": "simulator.sweeping",
    "explain": "simulator.api.explaining",
    "export": "simulator.api.exporting",
    "validate": "simulator.api.validating",
    "Calibrated": "simulator.api.calibrating",
    "calibrate_machine": "simulator.api.calibrating",
    "catalogue": "simulator.api.catalogue",
    "devices": "simulator.api.catalogue",
    "models": "simulator.api.catalogue",
    "load_plan": "simulator.planning.spec",
    "Scenario": "simulator.scenario",
    "load_scenario": "simulator.scenario",
    "load_experiment": "simulator.kinds",
}


def __getattr__(name: str) -> Any:
    """Load the public names when they are first used, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'simulator' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
