"""Runs of one request behind each other in a pipeline: when they leave it, and that none is lost."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.engine.cluster import Cluster
from simulator.engine.drafter_layout import model_drafter
from simulator.engine.query_pass import Pass, Queries
from simulator.engine.speculation import Speculation, SpeculationRecord
from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import overheads
from simulator.hardware.relatives import calibrations_for
from simulator.policies.speculation import Constant, Fixed
from simulator.policies.speculation.draws import PositionDraws
from simulator.scenario import scenario_from
from simulator.workloads.parallelism import Parallelism, Precision
from tests.builders import rows, serve, timer_of, tiny_model

STAGES = 2
TIMER = timer_of(tiny_model(), parallel=Parallelism(pipeline=STAGES))
L4 = device("nvidia-l4-24gb")
LAW = TimingLaw(L4, calibrations_for(L4), fabric_of(L4, None))
DRAFTER = model_drafter(tiny_model(), Parallelism(), Precision(), LAW, overheads("vllm"), max_num_seqs=1, device=L4)


def speculation(rate: float, tokens: int, in_flight: int) -> Speculation:
    draws = PositionDraws(partial(stream, 1), "acceptance")
    record = SpeculationRecord()
    return Speculation(lambda: Fixed(tokens=tokens), DRAFTER, Constant(rate=rate), draws, record, True, in_flight)


def served(
    lengths: list[tuple[int, int]], guess: Speculation, *, blocks: int = 200
) -> tuple[Cluster, dict[str, NDArray[np.float64]]]:
    """Requests of (prompt, output) tokens, 2 ms apart, one at a time."""
    source = rows([0.002 * i for i in range(len(lengths))], [p for p, _ in lengths], [o for _, o in lengths])
    cluster, recorder = serve(source, timer=TIMER, speculation=guess, max_num_seqs=1, blocks=blocks)
    return cluster, recorder.requests()


def run_pass(cached: int, tokens: int) -> Pass:
    return Pass(TIMER, Queries(np.array([cached]), np.array([tokens])), tokens)


def test_a_drafter_that_is_always_wrong_leaves_the_whole_pipeline_to_one_token() -> None:
    output, prompt = 12, 40
    _, done = served([(prompt, output)], speculation(0.0, 2, 4))
    alone = sum(run_pass(prompt + n, 1).seconds() + TIMER.host_seconds(1) for n in range(output - 1))
    assert done["finish_s"][0] - done["first_token_s"][0] == pytest.approx(alone, rel=1e-12)


def test_a_drafter_that_is_always_right_is_followed_at_its_own_pace() -> None:
    """The drafter is slower than any stage: after the pipeline has filled, a token comes out for each it writes."""
    output, prompt = 400, 40
    _, done = served([(prompt, output)], speculation(1.0, 1, 8))
    passes = DRAFTER.passes(np.array([prompt + 200]), np.array([0]), [Fixed(tokens=1).draft])
    pace = max(DRAFTER.seconds(passes), *run_pass(prompt + 200, 1).stage_seconds())
    assert (done["finish_s"][0] - done["first_token_s"][0]) / output == pytest.approx(pace, rel=0.03)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 30)), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.4, 0.9, 1.0]),
    st.integers(1, 4),
    st.integers(2, 9),
)
def test_every_request_gets_its_tokens_and_every_block_comes_back(
    lengths: list[tuple[int, int]], rate: float, tokens: int, in_flight: int
) -> None:
    guess = speculation(rate, tokens, in_flight)
    cluster, done = served(lengths, guess, blocks=24)
    assert sorted(done["index"].tolist()) == list(range(len(lengths)))
    assert cluster.replicas[0].kv.used == 0
    assert guess.record.totals["decode_tokens"] == sum(output - 1 for _, output in lengths)
    spells = sorted(zip(done["first_token_s"], done["finish_s"], strict=True))
    assert all(before[1] <= after[0] for before, after in pairwise(spells))


def test_more_runs_in_flight_never_slow_a_request() -> None:
    times = [served([(40, 200)], speculation(0.8, 2, most))[1]["finish_s"][0] for most in (2, 4, 8)]
    assert times[0] >= times[1] >= times[2]


def test_several_requests_at_once_are_refused() -> None:
    values = {
        "model": "meta-llama/Llama-3.2-1B",
        "device": "nvidia-l4-24gb",
        "parallel": {"pipeline": 2},
        "speculation": {
            "policy": "fixed",
            "draft": {"source": "model", "options": {"model": "meta-llama/Llama-3.2-1B", "device": "nvidia-l4-24gb"}},
            "asynchronous": True,
            "in_flight": 4,
        },
        "load": {"generator": "shared-prefix-chat", "limit": 4},
    }
    with pytest.raises(InputError, match="max_num_seqs to 1"):
        run(scenario_from(values))
