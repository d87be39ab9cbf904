"""Pipelines whose stages are not all alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.training.layer_costs import layer_costs
from simulator.engine.training.memory import RESERVED, stage_memory
from simulator.engine.training.mixed import Mixed
from simulator.engine.training.pipeline import PassSeconds, run_pipeline
from simulator.engine.training.slowdowns import Static
from simulator.engine.training.straggling import straggling_steps
from simulator.errors import DoesNotFit, InputError
from simulator.hardware.links import link
from simulator.policies.partition import LayerCosts
from simulator.policies.pipeline import GPipe, OneForwardOneBackward, Schedule
from simulator.report.training.timeline import write_step_timeline
from simulator.specs.training import TrainingScenario
from simulator.training import TrainingResult, train

A100, L40S = "nvidia-a100-sxm-80gb", "nvidia-l40s-48gb"
UNLIKE: list[dict[str, Any]] = [{"count": 2}, {"device": L40S, "count": 2, "tensor": 1}]
FIELDS: dict[str, Any] = {
    "kind": "training", "model": {"layers": 12, "hidden": 1024, "heads": 16}, "device": A100,
    "batch": {"sequence": 512, "micro": 1, "global_size": 32}, "layout": {"tensor": 2, "data": 2},
}  # fmt: skip
seconds = st.floats(0.25, 4.0)


class AllFirst:
    def layers(self, costs: LayerCosts) -> list[int]:
        stages, count = costs.seconds.shape
        return [count] + [0] * (stages - 1)


def result(stages: Any = None, **fields: Any) -> TrainingResult:
    given_stages = {} if stages is None else {"stages": stages if isinstance(stages, dict) else {"of": stages}}
    return train(TrainingScenario.model_validate(FIELDS | given_stages | fields))


def timed(schedule: Schedule, micro: int, forward: list[float], backward: list[float]) -> float:
    stages = len(forward)
    orders = [schedule.order(s, stages, micro, 1) for s in range(stages)]
    return run_pipeline(orders, PassSeconds(forward, backward, [0.0] * stages, 0.0)).seconds


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=6), st.integers(1, 12))
def test_gpipe_on_unequal_stages_fills_and_drains_by_the_slowest(each: list[tuple[float, float]], micro: int) -> None:
    """A flow shop of like jobs, there and back: the sum over the stages, and m - 1 times the slowest."""
    forward, backward = [f for f, _ in each], [b for _, b in each]
    expected = sum(forward) + sum(backward) + (micro - 1) * (max(forward) + max(backward))
    assert timed(GPipe(), micro, forward, backward) == pytest.approx(expected)


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=6), st.integers(1, 12))
def test_1f1b_is_fill_and_m_times_the_last_stage_where_that_is_slowest(
    each: list[tuple[float, float]], micro: int
) -> None:
    forward, backward = [f for f, _ in each], [b for _, b in each]
    forward.append(max(forward))
    backward.append(max(backward))
    expected = sum(forward[:-1]) + sum(backward[:-1]) + micro * (forward[-1] + backward[-1])
    assert timed(OneForwardOneBackward(), micro, forward, backward) == pytest.approx(expected)


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=6), st.integers(1, 12))
def test_1f1b_lies_between_the_slowest_stage_s_work_and_alpa_s_latency(
    each: list[tuple[float, float]], micro: int
) -> None:
    whole = [f + b for f, b in each]
    found = timed(OneForwardOneBackward(), micro, [f for f, _ in each], [b for _, b in each])
    assert found >= max(sum(whole[:s]) + micro * own for s, own in enumerate(whole)) * (1 - 1e-9)
    apart = max(f for f, _ in each) + max(b for _, b in each)
    assert found <= (sum(whole) + (micro - 1) * apart) * (1 + 1e-9)


@pytest.mark.parametrize("changes", [
    {},
    {"schedule": {"policy": "gpipe"}},
    {"schedule": {"policy": "zero-bubble"}, "recompute": "full"},
    {"layout": {"tensor": 2, "data": 2, "chunks": 2, "sequence_parallel": True}, "recompute": "selective"},
    {"layout": {"data": 4, "zero": 3}, "overlap_sends": False},
    {"layout": {"tensor": 2, "data": 2, "zero": 1}, "communication": {"overlap_gradients": {}, "overlap_weights": {}}},
    {"layout": {"tensor": 2, "context": 2, "data": 2}},
    {"communication": {"local": {"steps": 4}}},
    {"layout": {"tensor": 2, "data": 2, "chunks": 2}, "model": {"layers": 15, "hidden": 1024, "heads": 16}},
    {"layout": {"tensor": 3, "data": 2}, "model": {"layers": 14, "hidden": 1536, "heads": 12}},
    {"stragglers": {"slowdowns": [{"kind": "jitter", "mean": 0.2}], "steps": 5}},
    {"model": {"layers": 8, "hidden": 512, "heads": 8, "experts": {"count": 4}}, "layout": {"data": 4, "expert": 2}},
])  # fmt: skip
def test_a_list_of_like_stages_is_the_ordinary_run_to_the_last_bit(changes: dict[str, Any]) -> None:
    layout = changes.get("layout", FIELDS["layout"])
    plain = result(**(changes | {"layout": layout | {"pipeline": 4}}))
    listed = result([{"count": 1}, {"count": 3, "device": A100}], **changes)
    summary = dict(listed.summary)
    assert len(summary.pop("stages")) == 4
    assert summary.pop("borders") == []
    assert summary == plain.summary
    assert json.dumps(summary) == json.dumps(plain.summary)


def test_the_backward_time_of_a_stage_has_its_weights_passes_where_they_run_apart() -> None:
    whole, apart = (result([{"count": 4}], schedule={"policy": p}).summary["stages"] for p in ("1f1b", "zero-bubble"))
    assert [s["backward_s"] for s in apart] == pytest.approx([s["backward_s"] for s in whole])


def test_a_schedule_that_places_pieces_runs_on_stages_whose_layers_are_given() -> None:
    fields = {"schedule": {"policy": "zero-bubble-v"}, "layout": {"tensor": 2, "data": 2, "chunks": 2}}
    plain = result(**(fields | {"layout": fields["layout"] | {"pipeline": 4}}))
    listed = result([{"count": 4, "layers": 3}], **fields)
    assert listed.step.step_seconds == plain.step.step_seconds
    assert listed.summary["memory_gb"] == plain.summary["memory_gb"]
    mixed = result([{"count": 2, "layers": 4}, UNLIKE[1] | {"layers": 2}], **fields).step
    assert mixed.mixed is not None
    assert mixed.mixed.stage_of == (0, 1, 2, 3, 3, 2, 1, 0)
    assert _layers(mixed) == [4, 4, 2, 2]
    assert mixed.end.tied_seconds() == 0.0  # the first stage holds both ends


@pytest.mark.parametrize("layout", [{"tensor": 2, "data": 2}, {"tensor": 2, "data": 2, "sequence_parallel": True}])
def test_like_stages_looked_at_one_by_one_come_to_the_same(layout: dict[str, Any]) -> None:
    """Nothing is folded: every stage has a part of its own, and what passes between them is sent as between others."""
    step = result([{"count": 4}], layout=layout).step
    assert step.mixed is not None
    apart = replace(step, mixed=Mixed(tuple(replace(part) for part in step.mixed.parts)))
    assert len(apart.kinds) == 4
    assert apart.step_seconds == step.step_seconds
    assert apart.pass_seconds.sends[0][0] == step.send_seconds


def test_each_stage_computes_and_updates_as_fast_as_its_own_devices_do() -> None:
    mixed = result(UNLIKE).step
    fast, slow = (result(layout=x | {"pipeline": 4}, device=d).step for x, d in (
        (FIELDS["layout"], A100), ({"data": 2}, L40S),
    ))  # fmt: skip
    for stage, like in ((0, fast), (1, fast), (2, slow), (3, slow)):
        assert mixed.pass_seconds.forward[stage] == like.pass_seconds.forward[stage]
        assert mixed.pass_seconds.backward[stage] == like.pass_seconds.backward[stage]
        assert mixed.end.ending(stage) == like.end.ending(stage)
        assert mixed.states(stage) == like.states(stage)
        assert stage_memory(mixed, stage).total == pytest.approx(stage_memory(like, stage).total)
    assert mixed.job.layout.devices == 2 * (2 + 2 + 1 + 1)


@pytest.mark.parametrize("name", ["infiniband-hdr", "ethernet-1"])
def test_activations_cross_the_link_in_as_many_flows_as_the_narrower_stage_has(name: str) -> None:
    step = result({"of": UNLIKE, "between": name}).step
    whole = 512 * 1024 * 2.0
    there, back = step.pass_seconds.sends[1]
    alone = link(name).latency + whole / (link(name).bandwidth * link(name).efficiency)
    assert there == pytest.approx(alone)
    gathering = back - alone
    assert gathering > 0.0  # two A100 share out what one L40S sent
    assert gathering == pytest.approx(step.pass_seconds.sends[0][0] - _sent_inside(step, whole / 2), rel=1e-6)
    sharded = result({"of": UNLIKE, "between": name}, layout={"tensor": 2, "data": 2, "sequence_parallel": True}).step
    assert sharded.pass_seconds.sends[1] == pytest.approx((alone, alone))


def _sent_inside(step: Any, message: float) -> float:
    inside = step.part(0).law.fabric.inside
    return float(inside.latency + message / (inside.bandwidth * inside.efficiency))


def test_a_slower_link_between_the_kinds_makes_a_slower_step_and_the_slower_network_is_the_usual_one() -> None:
    quick, slow = (result({"of": UNLIKE, "between": name}).step.step_seconds for name in ("nvlink3", "ethernet-1"))
    assert slow > quick
    step = result(UNLIKE).step
    assert step.mixed is not None
    ends = [step.part(s).law.fabric.between for s in (1, 2)]
    assert step.mixed.crossing(1, 2) == min(ends, key=lambda end: end.bandwidth * end.efficiency)


@pytest.mark.parametrize("changes", [
    {}, {"schedule": {"policy": "zero-bubble"}}, {"schedule": {"policy": "gpipe"}, "recompute": "full"},
    {"layout": {"data": 4, "zero": 3}}, {"layout": {"tensor": 2, "data": 2, "chunks": 2}},
])  # fmt: skip
def test_what_a_partition_is_told_of_memory_is_what_stages_then_hold(changes: dict[str, Any]) -> None:
    step = result({"of": UNLIKE, "partition": {"policy": "minimax"}}, **changes).step
    assert step.mixed is not None
    costs = layer_costs(step.mixed.parts)
    first = 0
    for stage, held in enumerate(_layers(step)):
        told = costs.bytes[stage, first : first + held].sum() + costs.working[stage, first : first + held].max()
        if step.job.layout.chunks == 1:
            assert told == pytest.approx(stage_memory(step, stage).total - RESERVED, rel=1e-9)
            took = step.pass_seconds.forward[stage] + step.pass_seconds.backward[stage]
            took += step.pass_seconds.weights[stage] if step.schedule.splits else 0.0
            assert costs.seconds[stage, first : first + held].sum() == pytest.approx(took)
        first += held
    assert first == 12


def _layers(step: Any) -> list[int]:
    layout = step.job.layout
    return [sum(len(step.job.chunk_layers(p)) for p in layout.pieces(s)) for s in range(layout.pipeline)]


def test_minimax_beats_equal_shares_and_no_move_of_a_layer_beats_it() -> None:
    equal = result(UNLIKE).step
    best = result({"of": UNLIKE, "partition": {"policy": "minimax"}}).step
    assert best.step_seconds < equal.step_seconds
    found = _layers(best)

    def slowest(counts: list[int]) -> float:
        of = [{"layers": n} | ({"device": L40S, "tensor": 1} if s > 1 else {}) for s, n in enumerate(counts)]
        each = result(of).step.pass_seconds
        return max(f + b for f, b in zip(each.forward, each.backward, strict=True))

    least = slowest(found)
    for giver in range(4):
        for taker in range(4):
            moved = [n - (s == giver) + (s == taker) for s, n in enumerate(found)]
            if giver != taker and min(moved) > 0:
                assert slowest(moved) >= least * (1 - 1e-9)


def test_memory_is_checked_against_each_stage_s_own_device_and_minimax_finds_room() -> None:
    big = {
        "model": {"layers": 40, "hidden": 5120, "heads": 40}, "layout": {"tensor": 4},
        "batch": {"sequence": 2048, "micro": 1, "global_size": 8},
    }  # fmt: skip
    kinds = [{"device": "nvidia-v100-pcie-16gb"}, {"count": 2}]
    with pytest.raises(DoesNotFit, match="nvidia-v100-pcie-16gb: a device of stage 0 needs"):
        result(kinds, **big)
    step = result({"of": kinds, "partition": {"policy": "minimax"}}, **big).step
    assert _layers(step)[0] < 14
    for stage in range(3):
        assert stage_memory(step, stage).total <= step.part(stage).law.device.memory_capacity
    with pytest.raises(DoesNotFit, match="no cut of the layers"):
        result({"of": [{"device": "nvidia-v100-pcie-16gb"}, {"device": "nvidia-v100-pcie-16gb"}, {}],
                "partition": {"policy": "minimax"}}, **(big | {"layout": {"tensor": 1}}))  # fmt: skip


def test_energy_price_and_peak_are_summed_over_kinds_and_stages_are_busy_or_wait() -> None:
    stages = [{"count": 2, "price_per_device_hour": 2.0}, UNLIKE[1] | {"price_per_device_hour": 1.0}]
    found = result({"of": stages, "between": "infiniband-hdr"})
    summary, step = found.summary, found.step
    assert sum(s["energy_kwh"] for s in summary["stages"]) == pytest.approx(summary["energy_kwh"])
    assert sum(s["cost_usd"] for s in summary["stages"]) == pytest.approx(summary["cost_usd"])
    assert summary["cost_usd"] == pytest.approx((8 * 2.0 + 4 * 1.0) * step.step_seconds / 3600.0)
    peaks = [step.part(s).law.peak("bf16") for s in (0, 2)]
    rate = summary["model_flops"] / step.step_seconds
    assert summary["mfu"] == pytest.approx(rate / (8 * peaks[0] + 4 * peaks[1]))
    plain = result(layout=FIELDS["layout"] | {"pipeline": 4}).summary
    assert summary["model_flops"] == pytest.approx(plain["model_flops"])
    waits = 1.0 - np.mean([s["busy_share"] for s in summary["stages"]])
    assert summary["bubble_share"] == pytest.approx(waits)
    assert sum(summary["breakdown_s"].values()) == pytest.approx(step.step_seconds)


def test_the_sum_of_a_shared_embedding_crosses_the_link() -> None:
    kinds = [{}, {"device": L40S, "tensor": 1}]
    found = {name: result({"of": kinds, "between": name}).step for name in ("infiniband-hdr", "ethernet-1")}
    whole = 51200 * 1024 * found["ethernet-1"].job.formats.gradients.bytes
    for name, step in found.items():
        rate = link(name).bandwidth * link(name).efficiency
        assert step.end.tied_seconds() == pytest.approx(2 * link(name).latency + whole / rate)


@pytest.mark.parametrize(("slow", "stages_hit"), [(2, [0]), (3, [0, 1])])
def test_slow_devices_are_those_of_their_own_stage(slow: int, stages_hit: list[int]) -> None:
    """Two devices hold the first stage and one the second."""
    step = result([{}, {"device": L40S, "tensor": 1}], layout={"tensor": 2}).step
    each, factors = step.pass_seconds, [3.0 if s in stages_hit else 1.0 for s in range(2)]
    slower = replace(
        each, forward=[f * x for f, x in zip(each.forward, factors, strict=True)],
        backward=[b * x for b, x in zip(each.backward, factors, strict=True)],
    )  # fmt: skip
    expected = step.step_seconds + run_pipeline(step.orders, slower).seconds - step.timeline.seconds
    assert straggling_steps(step, [Static(slow, 3.0)], 1, 0, seed=1).seconds == pytest.approx([expected])


@pytest.mark.parametrize(("stages", "changes", "complaint"), [
    ([{"count": 2}], {"layout": {"pipeline": 4}}, "stages lists 2 stages and layout.pipeline is 4"),
    ([{"device": L40S}], {}, "is on no stage: name one of"),
    ([{"layers": 5}, {}], {}, "some give layers and some do not"),
    ([{"layers": 5}, {"layers": 5}], {}, "hold 10 layers in all"),
    ({"of": [{"layers": 6, "count": 2}], "partition": {"policy": "equal"}}, {}, "leave one of the two out"),
    ({"of": [{"count": 2}], "between": "ethernet-1"}, {}, "all stages are on one kind"),
    ([{"layers": 1}, {"layers": 11}], {"layout": {"chunks": 2}}, "fewer than the 2 chunks"),
    ([{"count": 2}], {"schedule": {"policy": "zero-bubble-v"}, "layout": {"chunks": 2}}, "places pieces itself"),
    ([{"count": 2}], {"schedule": {"policy": "dualpipe"}, "layout": {"chunks": 2}}, "go both ways"),
    ([{"count": 2}], {"sites": {"count": 2}}, "stages beside sites"),
    ([{"count": 2}], {"parameter_server": {"steps": 50}}, "stages beside parameter_server"),
    ([{"count": 2}], {"layout": {"count_ends": True}}, "stages beside layout.count_ends"),
    ({"of": [{"count": 2}], "partition": {"policy": "even"}}, {}, "unknown partition policy 'even'"),
    ({"of": [{"count": 2}], "partition": {"policy": "tests.training.test_stages:AllFirst"}}, {}, r"deals \[12, 0\]"),
    ([{"tensor": 3}, {}], {}, "does not divide the 16 heads"),
])  # fmt: skip
def test_what_contradicts_itself_is_refused_in_one_line(stages: Any, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        result(stages, **changes)
    assert "\n" not in str(caught.value)


def test_the_timeline_names_the_device_of_each_stage(tmp_path: Path) -> None:
    step = result(UNLIKE).step
    write_step_timeline(tmp_path / "timeline.json", step)
    events = json.loads((tmp_path / "timeline.json").read_text())["traceEvents"]
    names = [e["args"]["name"] for e in events if e["name"] == "process_name"]
    assert names == [f"stage {s} ({d})" for s, d in enumerate([A100, A100, L40S, L40S])]
    across = [e["dur"] / 1e6 for e in events if e["pid"] == 1 and e["name"].startswith("send forward")]
    assert across == pytest.approx([step.pass_seconds.sends[1][0]] * len(across))
