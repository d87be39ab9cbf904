"""`simulator explain` as a function."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.api.reading import Given, Settings, checked, read_scenario
from simulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


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

    from simulator.explained import explained_graph, explained_iteration
    from simulator.report.graphs.operators import operator_table
    from simulator.workloads.parallelism import Parallelism

    if scenario is not None:
        return operator_table(explained_graph(read_scenario(scenario, checked(settings))))
    if settings:
        raise InputError("settings are of a scenario: give one, or leave them out")
    found = explained_iteration(
        model=model,
        device=device,
        parallel=Parallelism(tensor_parallel, pipeline_parallel, data_parallel, expert_parallel),
        weights=weights,
        kv_cache=kv_cache,
        engine=engine,
        calibration=calibration,
        prefill_tokens=prefill_tokens,
        cached_tokens=cached_tokens,
        decode_sequences=decode_sequences,
        context=context,
    )
    table = pd.DataFrame([asdict(part) for part in found.parts])
    return table.rename(columns={"name": "operator", "count": "calls"})
