"""Attention that reads a common prefix once: its bytes by hand, its bounds, and the same times however asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.chunks import NO_CHUNKS
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.relatives import calibrations_for
from simulator.scenario import scenario_from
from simulator.workloads.models import model
from simulator.workloads.parallelism import Parallelism, Precision
from tests.builders import Rows, rows, serve, tiny_model
from tests.engine.test_fast_forward import outcome, workloads

A100 = device("nvidia-a100-sxm-80gb")
LAW = TimingLaw(A100, calibrations_for(A100), fabric_of(A100, None))
LLAMA = model("huggyllama/llama-7b")


def timer(tokens: int, which: Any = LLAMA) -> StepTimer:
    return StepTimer(which, Parallelism(), Precision(), LAW, StepOverheads(), shared_prefix=tokens)


PLAIN = timer(0)


@given(sequences=st.integers(2, 300), prefix=st.integers(1, 4000), own=st.integers(1, 500), steps=st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_the_prefix_is_read_once_a_step(sequences: int, prefix: int, own: int, steps: int) -> None:
    """2 x 32 layers x 4,096 numbers x 2 bytes a token: the prefix once, the rest of each; FLOPs are as ever."""
    contexts = [(sequences * (prefix + own), sequences)]
    flops, moved = timer(prefix).attention_work(contexts, steps, NO_CHUNKS)
    tokens = sum(prefix + sequences * (own + i) for i in range(steps))
    assert moved == pytest.approx(tokens * 2 * 32 * 4096 * 2)
    assert flops == PLAIN.attention_work(contexts, steps, NO_CHUNKS)[0]


@pytest.mark.parametrize("sequences", [16, 64, 256])
def test_attention_approaches_the_bytes_that_are_left(sequences: int) -> None:
    """The gain lies between none and the quotient of the bytes, and a step never beats the bandwidth."""
    prefix, own = 2048, 256
    contexts = [(sequences * (prefix + own), sequences)]

    def attention(found: StepTimer) -> float:
        return sum(p.decoding(sequences, contexts[0][0]) for _, p in found.stages[0].pieces)

    plain, shared = attention(PLAIN), attention(timer(prefix))
    least = (prefix + sequences * own) * 2 * 32 * 4096 * 2 / A100.memory_bandwidth
    assert least < shared < plain
    assert plain / shared < sequences * (prefix + own) / (prefix + sequences * own) * 1.1


def test_it_gains_more_the_more_share_the_prefix() -> None:
    def gain(sequences: int, prefix: int) -> float:
        contexts = [(sequences * (prefix + 200), sequences)]
        plain = PLAIN.step_seconds(sequences, contexts, NO_CHUNKS)
        return plain / timer(prefix).step_seconds(sequences, contexts, NO_CHUNKS)

    assert np.all(np.diff([gain(n, 2048) for n in (8, 32, 128)]) > 0)
    assert np.all(np.diff([gain(32, s) for s in (512, 1024, 2048)]) > 0)
    assert gain(1, 2048) == 1.0


TIMERS = {"full": timer(6, tiny_model()), "window": timer(6, tiny_model(window=7))}


@settings(max_examples=60, deadline=None)
@given(source=workloads(), kind=st.sampled_from(sorted(TIMERS)), blocks=st.integers(25, 60))
def test_fast_forward_changes_no_time(source: Rows, kind: str, blocks: int) -> None:
    source.requests.prompt_tokens[:] = np.maximum(source.requests.prompt_tokens, 6)
    found = []
    for fast_forward in (True, False):
        _, recorder = serve(source, timer=TIMERS[kind], blocks=blocks, fast_forward=fast_forward)
        assert recorder.finished == len(source.requests)
        found.append(outcome(recorder))
    assert found[0] == found[1]


def scenario(**changes: Any) -> Any:
    load = {
        "arrivals": {"process": "poisson", "rate": 100.0},
        "prompt_tokens": {"law": "fixed", "tokens": 64},
        "output_tokens": {"law": "fixed", "tokens": 64},
        "prefix": {"groups": 1, "tokens": 1024},
        "requests": 80,
    }
    values = {"model": "huggyllama/llama-7b", "device": "nvidia-a100-sxm-80gb", "load": {"generator": load}}
    return scenario_from(values | changes)


def test_a_run_is_quicker_and_serves_the_same() -> None:
    plain, shared = run(scenario()), run(scenario(shared_prefix_tokens=1024))
    assert shared.summary["latency_ms"]["tpot"]["mean"] < plain.summary["latency_ms"]["tpot"]["mean"]
    for name in ("prompt_tokens", "output_tokens"):
        assert shared.request_columns[name].sum() == plain.request_columns[name].sum()


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(InputError, match="beside speculation"):
        scenario(shared_prefix_tokens=1024, speculation={"policy": "fixed"})
    with pytest.raises(InputError, match="latent attention"):
        timer(64, model("deepseek-ai/DeepSeek-V2-Lite"))


def test_a_prompt_shorter_than_the_prefix_is_refused() -> None:
    source = rows([0.0, 0.0], [9, 7], [2, 2])
    with pytest.raises(InputError, match=r"request 1 has a prompt of 7 tokens.* lower shared_prefix_tokens"):
        serve(source, timer=timer(8))
