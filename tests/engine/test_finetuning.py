"""Fine-tuning beside serving: every token once each way, limits kept, and the same times however stepped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.finetuning import timer_of
from simulator.assembly.pools import deployment_of
from simulator.engine.finetuning import dedicated_tokens_per_s
from simulator.engine.finetuning_progress import FinetuningProgress, Portion
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.scenario import scenario_from
from simulator.workloads.models import model

BASE: dict[str, Any] = {
    "model": "meta-llama/Llama-3.2-1B",
    "device": "nvidia-l4-24gb",
    "batching": {"max_num_batched_tokens": 256},
    "objectives": {"tpot_ms": 60},
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 3.0},
            "prompt_tokens": {"law": "uniform", "least": 20, "most": 400},
            "output_tokens": {"law": "uniform", "least": 1, "most": 80},
            "requests": 30,
        }
    },
}
QUIET = {
    "generator": {
        "arrivals": {"process": "constant", "rate": 0.05},
        "prompt_tokens": 16,
        "output_tokens": 1,
        "requests": 3,
    }
}
TUNING: dict[str, Any] = {"sequence_tokens": 1024, "window_tokens": 256}


def tuned(change: dict[str, Any], **fields: Any) -> Result:
    return run(scenario_from(BASE | {"finetuning": TUNING | change} | fields))


@given(
    sequence=st.integers(1, 60), layers=st.integers(1, 5), window=st.integers(1, 70),
    takes=st.lists(st.integers(1, 150), min_size=1, max_size=40),
)  # fmt: skip
@settings(deadline=None)
def test_every_token_passes_each_layer_once_in_order(sequence: int, layers: int, window: int, takes: list[int]) -> None:
    """Forward from the first token on; backward from the last layer, and in it from the last token."""
    progress = FinetuningProgress(sequence, layers, window, 2)
    forward: list[int] = []
    backward: list[tuple[int, int]] = []
    steps = 0
    for tokens in takes:
        portion = progress.take(tokens)
        assert portion == progress.take(tokens)
        assert portion.forward_tokens + -(-portion.backward_pairs // layers) == min(tokens, progress.remaining_tokens)
        assert all(n <= window for _, n in portion.forward)
        for before, new in portion.forward:
            forward += range(before, before + new)
        for layer, before, new in portion.backward:
            backward += [(layer, token) for token in reversed(range(before, before + new))]
        steps += portion.optimiser
        progress.advance(portion)
    assert forward == ([*range(sequence)] * (progress.sequences + 1))[: len(forward)]
    assert len(forward) == progress.forward_tokens
    order = [(layer, token) for layer in reversed(range(layers)) for token in reversed(range(sequence))]
    whole = order * (progress.sequences + 1)
    assert backward == whole[: len(backward)]
    assert len(backward) == progress.backward_pairs
    assert 0 <= progress.forward_tokens * layers - progress.backward_pairs <= sequence * layers
    assert steps == progress.sequences // 2


def test_a_sequence_has_the_flops_of_the_closed_form() -> None:
    """6 FLOPs a weight, less the weight gradients where it is frozen: 4; attention 1 + 2.5 times its forward pass."""
    scenario = scenario_from(
        BASE | {"finetuning": TUNING | {"adapter": {"rank": 8, "targets": ["q_proj", "down_proj"]}}}
    )
    assert scenario.finetuning is not None
    timer = timer_of(scenario.finetuning, deployment_of(scenario))
    progress = FinetuningProgress(1024, 16, 256, 1)
    flops = 0.0
    while not progress.sequences:
        portion = progress.take(progress.next_window)
        flops += timer.work(portion, 0, 0)[0]
        progress.advance(portion)
    found = model("meta-llama/Llama-3.2-1B")
    frozen = sum(layer.parameters(found.hidden) - 2 * found.hidden for layer in found.layers)
    head, adapter = found.vocab * found.hidden, 16 * 8 * (2048 + 2048 + 8192 + 2048)
    attention = 16 * 2.0 * (1024 * 1025 / 2) * 32 * 2 * 64
    products = 1024 * (4.0 * (frozen + head) + 6.0 * adapter) + 3.5 * attention
    assert flops == pytest.approx(products, rel=0.01)  # element-wise operators are the rest
    assert flops > products


def test_one_product_over_all_tokens_costs_less_than_two() -> None:
    scenario = scenario_from(BASE | {"finetuning": TUNING})
    assert scenario.finetuning is not None
    timer = timer_of(scenario.finetuning, deployment_of(scenario))
    window, nothing = Portion(forward=((0, 64),)), Portion()
    together = timer.seconds(window, 16, [(16 * 200, 16)], [(0, 64)])
    apart = timer.seconds(nothing, 16, [(16 * 200, 16)], [(0, 64)]) + timer.seconds(window)
    assert timer.seconds(nothing, 16, [(16 * 200, 16)], [(0, 64)]) < together < 0.75 * apart
    assert timer.seconds(nothing, 16, [(16 * 200, 16)], [(0, 64)]) == timer.timer.step_seconds(
        16, [(16 * 200, 16)], timer.timer.chunks([(0, 64)])
    )


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "co-serving"},
        {"policy": "temporal", "options": {"iterations": 20}},
        {"policy": "idle"},
        {"policy": "none", "dedicated_replicas": 1},
        {"policy": "none", "spatial": {"units": 0.3}},
    ],
    ids=["co-serving", "temporal", "idle", "dedicated", "spatial"],
)
def test_tokens_are_conserved_and_reported(change: dict[str, Any]) -> None:
    result = tuned(change)
    figures, columns = result.summary["finetuning"], result.iteration_columns
    assert figures["forward_tokens"] == columns["finetuning_forward_tokens"].sum() > 0
    assert figures["backward_tokens"] == pytest.approx(columns["finetuning_backward_tokens"].sum())
    assert figures["forward_tokens"] == pytest.approx(figures["backward_tokens"] + figures["in_flight_tokens"])
    assert 0 <= figures["in_flight_tokens"] <= 1024
    assert 0 < figures["share_of_all_devices_alone"] < 1
    assert result.request_columns["finish_s"].max() >= columns["end_s"].max()
    assert len(result.request_columns["index"]) == 30
    utilisation = result.summary["utilisation"]
    assert 0 < utilisation["busy"] <= 1
    assert 0 < utilisation["mfu"] < 1 and 0 < utilisation["memory_bandwidth"] < 1


def test_co_serving_keeps_the_limit_wherever_requests_do() -> None:
    limit = 0.045
    result = tuned({"policy": "co-serving", "options": {"latency_ms": limit * 1e3}, "window_tokens": 1024})
    rows = result.iteration_columns
    busy = (rows["finetuning_forward_tokens"] + rows["finetuning_backward_tokens"]) > 0
    seconds = rows["end_s"] - rows["start_s"]
    assert np.all(seconds[busy] <= limit * (1 + 1e-9))
    served = busy & (rows["decode_sequences"] > 0)
    assert served.sum() > 100
    assert np.median(seconds[served]) > 0.8 * limit


def test_without_requests_a_replica_does_what_a_dedicated_one_does() -> None:
    """Three requests 20 s apart, of a token each: idle devices fine-tune as fast as dedicated ones."""
    idle = tuned({"policy": "idle"}, load=QUIET).summary["finetuning"]
    apart = tuned({"policy": "none", "dedicated_replicas": 1}, load=QUIET).summary["finetuning"]
    assert idle["tokens_per_s"] == pytest.approx(apart["tokens_per_s"], rel=0.02)
    assert apart["tokens_per_s"] == pytest.approx(apart["tokens_per_s_per_replica_alone"], rel=0.02)
    assert apart["share_of_all_devices_alone"] == pytest.approx(0.5, rel=0.02)
    limited = tuned({"policy": "co-serving"}, load=QUIET).summary["finetuning"]
    assert 0.7 * idle["tokens_per_s"] < limited["tokens_per_s"] < 1.01 * idle["tokens_per_s"]


def test_requests_are_untouched_where_others_fine_tune() -> None:
    plain = run(scenario_from(BASE)).request_columns
    apart = tuned({"policy": "none", "dedicated_replicas": 2}).request_columns
    for name, column in plain.items():
        assert column.tobytes() == apart[name].tobytes(), name


def test_fine_tuning_takes_its_memory_from_the_cache() -> None:
    plain = deployment_of(scenario_from(BASE)).memory
    kept = []
    for pruned in (True, False):
        scenario = scenario_from(BASE | {"finetuning": TUNING | {"prune_activations": pruned}})
        memory = deployment_of(scenario).memory
        found = memory.finetuning
        assert found is not None
        taken = found.kept + found.workspace + found.adapter
        assert (plain.blocks - memory.blocks) * plain.block_bytes == pytest.approx(taken, abs=plain.block_bytes)
        kept.append(found.kept)
        assert found.adapter == 16 * (16 * 16 * (2048 + 2048 + 2048 + 512))
    assert kept[0] < kept[1] == found.unpruned


@settings(max_examples=15, deadline=None)
@given(
    policy=st.sampled_from([{"policy": "idle"}, {"policy": "co-serving", "options": {"latency_ms": 50}}])
    | st.builds(lambda n: {"policy": "temporal", "options": {"iterations": n}}, st.integers(1, 60)),
    blocks=st.sampled_from([None, 120]),
    batching=st.sampled_from(["vllm-v1", "sarathi", "decode-first", "vllm-v0"]),
    rate=st.floats(0.5, 12.0),
    seed=st.integers(0, 5),
)
def test_joining_steps_changes_no_time(
    policy: dict[str, Any], blocks: int | None, batching: str, rate: float, seed: int
) -> None:
    generator = BASE["load"]["generator"] | {"arrivals": {"process": "poisson", "rate": rate}, "requests": 15}
    fields = {
        "load": {"generator": generator},
        "kv_cache": {"blocks": blocks, "prefix_caching": False},
        "batching": {"policy": batching, "max_num_batched_tokens": 512},
        "seed": seed,
    }
    fast, slow = (tuned(policy, **fields, fast_forward=f) for f in (True, False))
    assert len(fast.request_columns["index"]) == 15
    for name, column in fast.request_columns.items():
        assert column.tobytes() == slow.request_columns[name].tobytes(), name
    assert fast.finetuning is not None and slow.finetuning is not None
    ends = [[(p.forward_tokens, p.backward_pairs) for p in r.finetuning.progress] for r in (fast, slow)]
    assert ends[0] == ends[1]


def test_optimiser_steps_cost_time() -> None:
    scenario = scenario_from(BASE | {"finetuning": TUNING | {"adapter": {"rank": 256}}})
    assert scenario.finetuning is not None
    timer = timer_of(scenario.finetuning, deployment_of(scenario))
    often, seldom = (dedicated_tokens_per_s(timer, FinetuningProgress(1024, 16, 256, n)) for n in (1, 8))
    assert often < seldom < 1.1 * often


class Always:
    """A policy of one's own: 8 tokens beside every iteration."""

    def alone(self, outlook: object, *, serving: bool) -> int:
        return 0

    def beside(self, outlook: object) -> int:
        return 8

    def holds_for(self) -> int:
        return 1

    def served(self, iterations: int) -> None: ...


def test_a_policy_of_ones_own() -> None:
    result = tuned({"policy": f"{__name__}:Always"})
    rows = result.iteration_columns
    both = rows["finetuning_forward_tokens"] + rows["finetuning_backward_tokens"]
    assert np.all((both == 8) | (both < 8) & (both > 0))
    assert np.all(rows["decode_sequences"] + rows["prefill_tokens"] > 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"finetuning": {"policy": "none"}}, "fine-tunes nothing"),
        ({"finetuning": {"spatial": {}}}, "set policy to none"),
        ({"finetuning": {"adapter": {"targets": []}}}, "targets"),
        ({"finetuning": {"adapter": {"targets": ["q_proj", "q_proj"]}}}, "twice"),
        ({"finetuning": {"adapter": {"targets": ["qproj"]}}}, "did you mean q_proj"),
        ({"finetuning": {"sequence_tokens": 100_000}}, "finetuning does not fit"),
        ({"finetuning": {}, "partition": {}}, "finetuning beside partition"),
        ({"finetuning": {}, "failures": {"mtbf_s": 9.0}}, "finetuning beside failures"),
        ({"finetuning": {}, "parallel": {"data": 2}}, "finetuning beside parallel.data"),
        ({"finetuning": {"policy": "cosrving"}}, "did you mean co-serving"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario_from(BASE | fields))
