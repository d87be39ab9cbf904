"""`simulator explain` as a function."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.api.reading import Given, Settings, checked, read_scenario, validated_as
from simulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MOST = 100_000_000


def explain(
    scenario: Given | None = None,
    *,
    model: str | None = None,
    device: str | None = None,
    settings: Settings | None = None,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    data_parallel: int = 1,
    expert_parallel: int = 1,
    weights: str | None = None,
    kv_cache: str | None = None,
    engine: str = "vllm",
    calibration: str | Path | None = None,
    prefill_tokens: int = 0,
    cached_tokens: int = 0,
    decode_sequences: int = 0,
    context: int = 1024,
) -> pd.DataFrame:
    """One iteration of a model operator by operator, as `simulator explain` does: a row an operator.

    Columns give the stage, how often it runs, `seconds`, its share of the iteration, what bounds it (compute, memory,
    launch, network, host), FLOPs and bytes. The iteration computes `prefill_tokens` of a prompt after
    `cached_tokens`, and a token of each of `decode_sequences` with `context` tokens cached. With a `scenario` of kind
    inference (path, plain data or object) in place of `model` and `device`, the kernels of its operator graph. Raises
    `InputError` for anything that cannot be used.
    """
    import pandas as pd

    if scenario is not None:
        return _graph(scenario, settings)
    if model is None or device is None:
        raise InputError("give a scenario of kind inference, or model and device")
    if settings:
        raise InputError("settings are of a scenario: give one, or leave them out")
    tokens = {"prefill_tokens": prefill_tokens, "cached_tokens": cached_tokens}
    for name, value in {**tokens, "decode_sequences": decode_sequences, "context": context}.items():
        if not 0 <= value <= MOST:
            raise InputError(f"{name} is {value}: give a number from 0 to {MOST:,}")
    if not prefill_tokens and not decode_sequences:
        raise InputError("nothing to explain: give prefill_tokens, decode_sequences or both")
    from simulator.engine.breakdown import iteration_parts
    from simulator.engine.deployment import deploy, native_precision
    from simulator.workloads.models import model as load_model
    from simulator.workloads.parallelism import Parallelism

    deployment = deploy(
        model,
        device,
        parallel=Parallelism(tensor_parallel, pipeline_parallel, data_parallel, expert_parallel),
        precision=native_precision(load_model(model), weights, None, kv_cache),
        engine=engine,
        calibration=None if calibration is None else str(calibration),
    )
    prefill = [(cached_tokens, prefill_tokens)] if prefill_tokens else []
    parts = iteration_parts(deployment, prefill=prefill, decode=[context] * decode_sequences)
    found = pd.DataFrame([asdict(part) for part in parts])
    return found.rename(columns={"name": "operator", "count": "calls"})


def _graph(scenario: Given, settings: Settings | None) -> pd.DataFrame:
    from simulator.inference import infer
    from simulator.report.graphs.operators import operator_table
    from simulator.specs.inference import InferenceScenario

    found = read_scenario(scenario, checked(settings))
    return operator_table(infer(validated_as(InferenceScenario, found, "a scenario of kind inference")))
