"""Steps with offloading: bytes over every link, memory over time, closed forms, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.laying_out import step_of
from simulator.engine.training.offloading.activations import copy_plan
from simulator.engine.training.offloading.crossing import MAPPED_PAGES, NEW_PAGES
from simulator.engine.training.offloading.layers import timed_layers
from simulator.engine.training.offloading.running import PLACES, capacities, offloaded
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.policies.offload import DeepOptimizerStates, Fuyou, PipeOffload, Plan, ZeroInfinity, ZeroOffload
from simulator.policies.offload.plan import Copying
from simulator.report.training.flops import hardware_flops
from simulator.report.training.timeline import held, spans, streams_of
from simulator.workloads.training.job import Layout
from simulator.workloads.training.layers import layers_of
from tests.training.builders import job, step
from tests.training.offloading.builders import host, run, small

TIERS = st.sampled_from(("device", "host", "nvme"))
EVERYTHING_OUT = Plan("nvme", "host", "nvme", "nvme")
EVERYTHING_IN = Plan(subgroup=1e12)
COPYING: tuple[Copying, ...] = ("beside", "pageable")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans that run: gradients leave only with states."""
    states = draw(TIERS)
    return Plan(
        draw(TIERS),
        "device" if states == "device" else draw(TIERS),
        states,
        draw(TIERS),
        update=draw(st.sampled_from(("after", "layer"))),
        subgroup=draw(st.sampled_from((2e7, 1e9))),
        stride=draw(st.integers(0, 3)),
        prefetch=draw(st.integers(0, 3)),
        tiles=draw(st.integers(1, 3)),
        copies=draw(st.sampled_from(("beside", "blocking", "pageable"))),
        activation_copies=draw(st.sampled_from(("beside", "blocking", "pageable"))),
        full_gradients=draw(st.booleans()),
        rescaled=draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None)
@given(plans(), st.integers(1, 3), st.sampled_from((1, 4)))
def test_memory_is_never_negative_and_all_that_came_has_gone(plan: Plan, batch: int, data: int) -> None:
    found = run(small(data=data, zero=3 if data > 1 else 0, batch=batch, layers=4), plan)
    for place in PLACES:
        held, _ = found.run.memory(place)
        scale = max(1.0, float(np.max(held, initial=0.0)))
        assert np.all(held >= -1e-9 * scale)
        assert held.size == 0 or held[-1] == pytest.approx(0.0, abs=1e-9 * scale)


@settings(max_examples=40, deadline=None)
@given(plans(), st.integers(1, 2))
def test_a_step_is_between_its_slowest_part_and_all_parts_in_turn(plan: Plan, batch: int) -> None:
    found = run(small(batch=batch, layers=4), plan)
    rates = capacities(found.host)
    parts = [found.run.busy("compute"), *(found.run.carried(c) / rate for c, rate in rates.items())]
    least = [sum(t.least for t in found.run.tasks if t.stream == s) for s in ("compute", "cpu")]
    assert found.seconds >= max([*parts[1:], *least]) * (1.0 - 1e-9)
    assert found.seconds <= (sum(parts[1:]) + sum(least)) * (1.0 + 1e-9)


def test_layers_add_up_to_the_whole_step() -> None:
    for recompute in ("none", "selective", "full"):
        given_job = job(recompute=recompute)
        whole = step(given_job)
        works = layers_of(given_job)
        for part in ("forward", "recompute", "inputs", "weights"):
            total = sum(whole.seconds(getattr(w.passes, part)) for w in works)
            assert total == pytest.approx(whole.seconds(getattr(whole.passes[0], part)))
        assert sum(w.passes.saved for w in works) == pytest.approx(whole.passes[0].saved)
        assert sum(w.parameters - w.shared for w in works) == pytest.approx(whole.states(0).parameters)


def test_a_plan_that_moves_nothing_takes_what_the_step_takes() -> None:
    given_job = small()
    whole = step(given_job)
    found = run(given_job, Plan(subgroup=1e12))
    assert found.passes_seconds == pytest.approx(whole.timeline.seconds)
    assert found.seconds == pytest.approx(whole.step_seconds)
    assert set(found.moved().values()) == {0.0}


@pytest.mark.parametrize("data", [4, 32])
def test_collectives_crowd_the_passes_as_in_the_step_that_moves_nothing(data: int) -> None:
    """Inside a node and between nodes; here the last layer's weights stay for its backward pass, there they do not."""
    given_job = small(data=data, zero=3, hidden=4096, heads=32, sequence=2048, batch=2)
    whole = step(given_job)
    found = run(given_job, EVERYTHING_IN)
    alone = sum(x.forward + x.backward for x in found.layers) * 2
    crowding = whole.exchanging[0].within["crowding"]
    assert crowding > 0.02 * alone
    assert found.computing - alone == pytest.approx(crowding, rel=0.15)
    assert found.passes_seconds == pytest.approx(whole.timeline.seconds, rel=0.01)


def test_zero_offload_is_no_faster_than_the_step_that_keeps_everything() -> None:
    given_job = small(data=8, zero=3, layers=4, hidden=4096, heads=32, sequence=2048, batch=64)
    found = run(given_job, ZeroOffload().plans([])[0])
    assert found.seconds >= step(given_job).step_seconds


@pytest.mark.parametrize("batch", [1, 3])
def test_bytes_over_every_link(batch: int) -> None:
    """Weights come for both passes, gradients leave, states come and go once, activations leave and come back."""
    given_job = small(batch=batch, layers=6, vocab=1)
    found = run(given_job, EVERYTHING_OUT)
    weights, gradients = (sum(getattr(x, k) for x in found.layers) for k in ("weights", "gradients"))
    parameters = sum(x.parameters for x in found.layers)
    first, last = found.layers[0].weights, found.layers[-1].weights
    # The last layer goes straight on to its backward pass, the first to the next micro-batch.
    fetched = batch * 2 * weights - batch * last - (batch - 1) * first
    kept = batch * sum(x.kept for x in found.layers[:-1])
    moved = found.moved()
    assert moved["down"] == pytest.approx(fetched + kept)
    assert moved["up"] == pytest.approx(batch * gradients + kept)
    assert moved["read"] == pytest.approx(fetched + kept + 12 * parameters)
    assert moved["write"] == pytest.approx(kept + (12 + 2) * parameters)


@pytest.mark.parametrize("copies", COPYING)
def test_gradients_of_a_tied_embedding_leave_once(copies: Copying) -> None:
    """Every parameter has one gradient, which waits on the device until both ends have added to it."""
    found = run(small(layers=4, vocab=32000), Plan(gradients="host", states="host", copies=copies))
    parameters = sum(x.parameters for x in found.layers)
    assert parameters == pytest.approx(small(layers=4, vocab=32000).model.parameters(), rel=1e-3)
    assert found.moved()["up"] == pytest.approx(2 * parameters)
    embedding = 32000 * 1024 * 2
    ends = {t.name: e for t, e in zip(found.run.tasks, found.run.ends, strict=True) if t.stream == "compute"}
    held, times = found.run.memory("device")
    waiting = held[(times > ends["backward of layer 2"]) & (times < ends["backward of layer 0"])]
    assert np.all(waiting >= embedding)


def test_replicas_bring_a_slice_each_and_gather() -> None:
    one, four = (run(small(data=d, zero=3, layers=6), EVERYTHING_OUT) for d in (1, 4))
    activations = sum(x.kept for x in one.layers[:-1])
    assert four.moved()["down"] - activations == pytest.approx((one.moved()["down"] - activations) / 4)
    assert four.moved()["write"] - activations == pytest.approx((one.moved()["write"] - activations) / 4)
    assert four.busy()["fabric"] > 0.0 == one.busy()["fabric"]


def test_an_owner_that_broadcasts_is_slower_than_slices_by_the_number_of_ranks() -> None:
    """arXiv:2104.07857, section 6.1: with slices the bandwidth to the host grows with the data-parallel ranks."""
    slow = host(link=1e9, link_alone=1e9)
    slices, owner = (
        run(small(data=8, zero=3), Plan("host", "host", "host", slices=s), slow).passes_seconds for s in (True, False)
    )
    assert owner > 3.0 * slices


@pytest.mark.parametrize("bandwidth", [1e9, 20e9, 1e12])
def test_efficiency_is_that_of_the_papers_formula_where_nothing_overlaps(bandwidth: float) -> None:
    """Section 4 of arXiv:2104.07857: ait x bw / (ait x bw + peak), with fetches and passes in turn (no prefetch).

    Gradients leave while the next weights come, as the link carries both ways at once.
    """
    given_job = small(layers=24, vocab=1, micro=4)
    on = host(link=bandwidth, memory_bandwidth=1e18)
    found = run(given_job, Plan("host", "host", "host", prefetch=0), on)
    reached = found.flops / found.computing
    intensity = found.flops / found.moved()["down"]
    efficiency = intensity * bandwidth / (intensity * bandwidth + reached)
    assert found.computing / found.passes_seconds == pytest.approx(efficiency, rel=1e-3)


def test_intensity_of_weights_and_gradients_is_the_papers() -> None:
    """Section 4.1 counts three loads and one store of 2 bytes: seq x bsz FLOP a byte; here a load serves both parts of
    the backward pass, so that four become three."""
    given_job = small(layers=48, vocab=1, hidden=4096, heads=32, sequence=128, micro=4)
    found = run(given_job, Plan("host", "host", "host"))
    moved = found.moved()["down"] + found.moved()["up"]
    assert found.flops / moved == pytest.approx(128 * 4 * 4 / 3, rel=0.04)


def test_a_link_that_is_far_slower_than_all_else_sets_the_time() -> None:
    on = host(link=1e7)
    found = run(small(), Plan("host", "host", "host"), on)
    links = max(found.moved()["down"], found.moved()["up"]) / 1e7
    assert found.seconds == pytest.approx(links, rel=0.15)
    assert found.seconds >= links


def test_drives_that_are_far_slower_than_all_else_set_the_time_of_the_update() -> None:
    on = host(read=1e7, write=1e7)
    found = run(small(), Plan(gradients="host", states="nvme", subgroup=1e6), on)
    bytes_ = 12 * sum(x.parameters for x in found.layers)
    assert found.moved()["read"] == pytest.approx(bytes_) == found.moved()["write"]
    assert found.seconds - found.passes_seconds == pytest.approx(bytes_ / 1e7, rel=0.1)


def test_a_processor_that_is_far_slower_than_all_else_sets_the_time_of_the_update() -> None:
    on = host(memory_bandwidth=1e9)
    found = run(small(), ZeroOffload().plans([])[0], on)
    moved = on.update(sum(x.parameters for x in found.layers), 30.0, 12.0)[1]
    assert moved >= 30.0 * sum(x.parameters for x in found.layers)
    assert found.seconds - found.passes_seconds >= moved / 1e9


def test_updates_by_layer_hide_behind_the_backward_pass() -> None:
    after, layer = (run(small(), Plan(gradients="host", states="host", update=u)) for u in ("after", "layer"))
    assert layer.seconds < after.seconds
    assert layer.moved() == pytest.approx(after.moved())


def test_more_prefetch_is_never_slower_and_takes_more_memory() -> None:
    found = [run(small(), Plan("nvme", "host", "nvme", "host", prefetch=p)) for p in range(4)]
    assert all(b.seconds <= a.seconds * (1.0 + 1e-9) for a, b in pairwise(found))
    assert found[0].run.peak("device") < found[2].run.peak("device")


def test_tiles_hold_a_part_of_a_layers_weights() -> None:
    whole, tiled = (run(small(micro=1, sequence=64), Plan("host", "host", "host", tiles=t)) for t in (1, 4))
    assert tiled.run.peak("device") < 0.5 * whole.run.peak("device")
    assert tiled.moved()["up"] == pytest.approx(whole.moved()["up"])


def test_swapping_takes_bytes_and_spares_arithmetic() -> None:
    given_job = small(micro=4)
    sparing, swapping = (
        run(given_job, Plan("host", "host", "host", "host", swapped=(frozenset(range(n)),) * 8)) for n in (0, 4)
    )
    assert swapping.computing < sparing.computing
    assert swapping.flops < sparing.flops
    assert swapping.moved()["up"] > sparing.moved()["up"]


def test_fuyou_swaps_less_over_a_slower_link() -> None:
    found = step(small(micro=4))
    policy = Fuyou(weights="host", states="host", activations="host")
    slow, fast = (offloaded(found, host(link=b, memory_bandwidth=1e12), policy) for b in (2e9, 200e9))
    assert len(slow.plan.swapped[0]) < len(fast.plan.swapped[0])
    assert slow.step is found


def test_deep_optimizer_states_balance_both_updates() -> None:
    """With an idle link and a slow processor the device updates all, the other way round none."""
    found = step(small())
    quick = offloaded(found, host(link=1e12, memory_bandwidth=5e10), DeepOptimizerStates(subgroup=1e6))
    slow = offloaded(found, host(link=1e8), DeepOptimizerStates(subgroup=1e6))
    assert quick.plan.stride == 2
    assert slow.plan.stride == 0


def test_one_thread_takes_the_subgroups_of_host_and_device_in_turn() -> None:
    plan = Plan(gradients="host", states="host", subgroup=2e6, stride=3)
    found = run(small(), plan)
    of = {}
    for task, start, end in zip(found.run.tasks, found.run.starts, found.run.ends, strict=True):
        if task.name.startswith("update of subgroup"):
            of.setdefault(task.stream, []).append((int(task.name.split()[-1]), start, end))
    numbers = [n for n, _, _ in of["cpu"]]
    assert numbers == sorted(numbers) == list(range(len(numbers)))
    for (number, start, _), (_, _, copied) in zip(of["compute"], of["states"][::2], strict=True):
        assert number % 3 == 2
        assert start >= copied
        assert start >= of["cpu"][number - 1][2]
    assert all(b[1] >= a[2] for a, b in pairwise(of["states"]))
    moved = sum(min(2e6, sum(x.parameters for x in found.layers) - n * 2e6) for n, _, _ in of["compute"])
    gradients = sum(x.gradients for x in found.layers)
    assert found.moved()["up"] == pytest.approx(gradients + 12 * moved)


def test_passes_wait_for_each_copy_through_pageable_memory() -> None:
    """One thread makes it at its own rate; that of the last layer's gradients holds up no pass."""
    fast = host(link=1e15, memory_bandwidth=1e18)
    gradients = Plan(gradients="host", states="host", copies="pageable")
    found = run(small(), gradients, fast)
    sizes = [x.gradients for x in found.layers[1:]]
    assert found.passes_seconds == pytest.approx(found.computing + sum(sizes) / NEW_PAGES)
    activations = replace(EVERYTHING_IN, activations="host", activation_copies="pageable")
    found = run(small(), activations, fast)
    kept = sum(x.kept for x in found.layers[:-1])
    copying = kept / NEW_PAGES + kept / MAPPED_PAGES
    assert found.passes_seconds == pytest.approx(found.computing + copying)
    assert found.busy()["thread"] == pytest.approx(copying / found.seconds)


def test_updated_weights_come_back_through_the_thread_that_updates() -> None:
    fast = host(link=1e15, memory_bandwidth=1e18)
    beside, pageable = (run(small(), Plan(gradients="host", states="host", copies=c), fast) for c in COPYING)
    weights = sum(x.parameters for x in beside.layers) * 2
    last = beside.layers[0].gradients / NEW_PAGES
    added = (pageable.seconds - pageable.passes_seconds) - (beside.seconds - beside.passes_seconds)
    assert added == pytest.approx(weights / MAPPED_PAGES + last, rel=1e-4)


def test_copies_that_passes_wait_for_are_those_of_the_link() -> None:
    slow = host(link=1e9, memory_bandwidth=1e18)
    found = run(small(), Plan(gradients="host", states="host", copies="blocking"), slow)
    assert found.passes_seconds == pytest.approx(found.computing + sum(x.gradients for x in found.layers[1:]) / 1e9)


def test_gradients_of_16_bits_are_kept_and_sent_in_32() -> None:
    narrow, wide = (run(small(), Plan(gradients="host", states="host", full_gradients=f)) for f in (False, True))
    assert wide.moved()["up"] == pytest.approx(2 * narrow.moved()["up"])
    assert wide.states["host"]["gradients"] == pytest.approx(2 * narrow.states["host"]["gradients"])
    scaled = run(small(), Plan(gradients="host", states="host", full_gradients=True, rescaled=True))
    more = scaled.moved()["host"] / wide.moved()["host"]
    assert 1.0 < more < 1.0 + 8.0 / 30.0


def test_what_is_not_modelled_or_cannot_be_is_refused() -> None:
    on = host()
    with pytest.raises(InputError, match="pipeline stages is not modelled"):
        offloaded(step(job(layout=Layout(pipeline=2))), on, ZeroOffload())
    with pytest.raises(InputError, match=r"set layout\.zero to 2 or 3"):
        offloaded(step(job(layout=Layout(data=4))), on, ZeroOffload())
    with pytest.raises(InputError, match=r"needs layout\.zero 3"):
        offloaded(step(job(layout=Layout(data=4, zero=2))), on, ZeroInfinity())
    with pytest.raises(InputError, match=r"raise batch\.micro"):
        offloaded(step(small(batch=4000)), on, ZeroOffload())
    with pytest.raises(InputError, match="needs recompute full"):
        offloaded(step(job()), on, Fuyou())
    with pytest.raises(InputError, match="offload option copies 'pagable': did you mean pageable"):
        offloaded(step(small()), on, ZeroOffload(copies="pagable"))  # type: ignore[arg-type]


def test_what_does_not_fit_is_named_with_remedies() -> None:
    found: Step = step_of(small(), "nvidia-a100-sxm-80gb")
    with pytest.raises(InputError, match=r"of host memory .* move states to nvme"):
        offloaded(found, host(memory=1e8), ZeroOffload()).check_memory()
    with pytest.raises(InputError, match=r"of NVMe .* more drives"):
        offloaded(found, host(drive_capacity=1e8), ZeroInfinity()).check_memory()


def test_a_trace_shows_every_stream_and_what_each_place_holds() -> None:
    found = step(small(batch=2))
    traced = replace(found, offloaded=offloaded(found, host(), ZeroInfinity()))
    shown = list(spans(traced, [0]))
    assert {s.stream for s in shown} == set(streams_of(traced)) >= {"compute", "weights read", "cpu", "states write"}
    assert max(s.end for s in shown) == pytest.approx(traced.step_seconds)
    assert sum(s.end - s.start for s in shown if s.stream == "compute") == pytest.approx(traced.busy(0))
    last = {place: size for place, _, size in held(traced, 0)}
    assert traced.offloaded is not None
    for place, states in traced.offloaded.states.items():
        assert last[place] == pytest.approx(sum(states.values()), abs=1.0)


def test_a_trace_of_a_pipeline_shows_its_copies() -> None:
    found = step(job(layout=Layout(pipeline=4)))
    traced = replace(found, copied=copy_plan(found, host(link=1e12), PipeOffload(share=1.0)))
    assert traced.copies is not None
    ups = [s for s in spans(traced, [0]) if s.stream == "activations up"]
    assert len(ups) == len(traced.copies.done[0]) > 8
    assert "activations down" in streams_of(traced)
    assert next(place for place, _, _ in held(traced, 0)) == "activations"


def test_a_ring_counts_the_flops_of_the_step_that_stays_on_the_device() -> None:
    found = step(job(layout=Layout(context=4, data=2, zero=3), batch=2))
    layers = timed_layers(found, layers_of(found.job), Plan("host", "host", "host", "host"))
    assert sum(layer.flops for layer in layers) * found.job.layout.devices == pytest.approx(hardware_flops(found))
    assert layers[0].wire[0] > 0.0
