"""What `explain` explains: one iteration of a deployment part by part, or one run of an operator graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulator.engine import breakdown
from simulator.engine.deployment import Deployment, deploy, native_precision
from simulator.errors import InputError
from simulator.inference import InferenceResult, infer
from simulator.specs.inference import InferenceScenario
from simulator.specs.part import Part
from simulator.workloads.models import model as load_model
from simulator.workloads.parallelism import Parallelism

MOST = 100_000_000


@dataclass(frozen=True, slots=True)
class Iteration:
    """An iteration of a deployment by its parts, in the order of execution."""

    deployment: Deployment
    parts: list[breakdown.Part]

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(part.seconds for part in self.parts)


def explained_iteration(
    *,
    model: str | None,
    device: str | None,
    parallel: Parallelism,
    weights: str | None,
    kv_cache: str | None,
    engine: str,
    calibration: str | Path | None,
    prefill_tokens: int,
    cached_tokens: int,
    decode_sequences: int,
    context: int,
    called: Callable[[str], str] = str,
) -> Iteration:
    """An iteration that computes `prefill_tokens` of a prompt after `cached_tokens`, and decodes.

    It gives a token of each of `decode_sequences`, which have `context` tokens cached. Raises `InputError` for anything
    that cannot be used; `called` tells it what the user calls an argument.
    """
    if model is None or device is None:
        raise InputError(f"give a scenario of kind inference, or {called('model')} and {called('device')}")
    tokens = {"prefill_tokens": prefill_tokens, "cached_tokens": cached_tokens}
    for name, value in {**tokens, "decode_sequences": decode_sequences, "context": context}.items():
        if not 0 <= value <= MOST:
            raise InputError(f"{called(name)} is {value}: give a number from 0 to {MOST:,}")
    if not prefill_tokens and not decode_sequences:
        either = f"{called('prefill_tokens')}, {called('decode_sequences')}"
        raise InputError(f"nothing to explain: give {either} or both")
    deployment = deploy(
        model,
        device,
        parallel=parallel,
        precision=native_precision(load_model(model), weights, None, kv_cache),
        engine=engine,
        calibration=None if calibration is None else str(calibration),
    )
    prefill = [(cached_tokens, prefill_tokens)] if prefill_tokens else []
    parts = breakdown.iteration_parts(deployment, prefill=prefill, decode=[context] * decode_sequences)
    return Iteration(deployment, parts)


def explained_graph(scenario: Part, *, file: str | Path | None = None) -> InferenceResult:
    """The run of an operator graph. Raises `InputError` for a scenario of another kind, naming its `file`."""
    if not isinstance(scenario, InferenceScenario):
        kind = getattr(scenario, "kind", "")
        raise InputError(f"explain takes scenarios of kind inference, not {kind}", file=file)
    return infer(scenario)
