"""Exchange between replicas: volumes in closed form, overlap between its bounds, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.engine.training.laying_out import step_of
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.policies.compression import DeepGradientCompression
from simulator.policies.context import ContextParallel, Ring, Ulysses
from simulator.policies.pipeline import ZeroBubble, ZeroBubbleV
from simulator.report.training.communication import communication_figures, sent_by_kind
from simulator.report.training.summary import breakdown
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.training.communication import PLAIN, Communication, LocalSteps, Shards, Transport
from simulator.workloads.training.job import Layout
from simulator.workloads.training.layer_work import chunk_layer_calls
from simulator.workloads.training.zeroth_order import ZerothOrder
from tests.training.builders import job, step

D = 8
BUCKETS = Communication(gradient_bucket=25e6)


def run(layout: Layout, communication: Communication = PLAIN, *, batch: int = 8, **rest: object) -> Step:
    return step(job(layout=layout, batch=batch, communication=communication, **rest))  # type: ignore[arg-type]


def sent(found: Step) -> float:
    """Bytes a device sends for its replicas, in units of (d - 1)/d of its parameters' bytes in fp16."""
    own = found.states(0).parameters
    kinds = ("weight_gathering", "gradient_reduction", "updated_weights", "outer_reduction")
    return sum(sent_by_kind(found, 0).get(k, 0.0) for k in kinds) / (own * 2 * (D - 1) / D)


@pytest.mark.parametrize(("zero", "volume"), [(0, 2.0), (1, 2.0), (2, 2.0), (3, 3.0)])
def test_zero_sends_what_its_paper_says(zero: int, volume: float) -> None:
    """Rajbhandari et al., arXiv:1910.02054, section 7: 2 psi for levels up to 2, 3 psi for level 3."""
    assert sent(run(Layout(data=D, zero=zero))) == pytest.approx(volume)


def test_sharded_gradients_are_reduced_and_weights_gathered_for_every_micro_batch() -> None:
    assert sent(run(Layout(data=D, zero=3), batch=4 * D)) == pytest.approx(4 * 3.0)
    assert sent(run(Layout(data=D, zero=1), batch=4 * D)) == pytest.approx(2.0)


def test_a_second_copy_and_quantised_links_send_what_zero_plus_plus_says() -> None:
    """Wang et al., arXiv:2306.10209, table 1: between nodes 3 M becomes 0.5 M + 0 + 0.25 M."""
    nodes, local = 2, 4
    found = run(
        Layout(data=D),
        Communication(
            shards=Shards(D, D, D, secondary=local),
            transport=Transport(DTYPES["int8"], None, DTYPES["int4"], hop=local),
        ),
    )
    exchange, own = found.exchange, found.states(0).parameters
    across = [
        link.message * (link.world - 1) / link.world
        for move in (exchange.forward_weights(own), exchange.backward_weights(own), exchange.micro_batch_gradients(own))
        for link in move.links
        if link.stride * link.world == D
    ]
    int8, int4 = DTYPES["int8"].bytes, DTYPES["int4"].bytes
    assert across == pytest.approx([own * int8 * (D - 1) / D, own / local * int4 * (nodes - 1) / nodes])


def test_shards_over_a_node_reduce_inside_and_then_between() -> None:
    """Hybrid sharding: all-gathers and a reduce-scatter of the node's, then an all-reduce of each share."""
    found = run(Layout(data=D), Communication(shards=Shards(4, 4, 4)))
    own, share = found.states(0).parameters * 2, 3 / 4
    kinds = sent_by_kind(found, 0)
    assert kinds["weight_gathering"] == pytest.approx(2 * own * share)
    assert kinds["gradient_reduction"] == pytest.approx(own * share + 2 * (own / 4) * (1 / 2))
    assert found.states(0).total == pytest.approx(found.states(0).parameters * 16 / 4)


@pytest.mark.parametrize("layout", [Layout(data=D), Layout(data=4, pipeline=2), Layout(data=D, zero=1)])
def test_buckets_finish_between_all_hidden_and_all_exposed(layout: Layout) -> None:
    free = Communication(gradient_bucket=25e6, weight_bucket=25e6, units=0.0)
    serial, overlapped = run(layout, batch=16), run(layout, free, batch=16)
    alone = run(replace(layout, data=1), batch=16 // layout.data)
    least = alone.timeline.seconds + overlapped.end.update_seconds(0)
    assert least < overlapped.step_seconds < serial.step_seconds


def test_one_bucket_of_everything_is_all_at_the_end() -> None:
    """Of one stage and one chunk: nothing is left to compute beside it, and nothing slows."""
    serial, overlapped = run(Layout(data=D)), run(Layout(data=D), Communication(gradient_bucket=1e12))
    assert overlapped.step_seconds == pytest.approx(serial.step_seconds)


def test_the_last_bucket_is_exposed_and_the_rest_hidden_where_links_are_fast_enough() -> None:
    found = run(Layout(data=D), Communication(gradient_bucket=5e6, units=0.0), micro=8, batch=8 * D)
    figures = communication_figures(found, 0)
    assert 0.0 < figures["exposed_s"]["total"] < 0.3 * figures["hidden_s"]["total"]
    assert sum(found.exchanging[0].streams.seconds("hidden").values()) == pytest.approx(figures["hidden_s"]["total"])


def test_units_of_collectives_slow_what_computes_beside_them() -> None:
    few, many = (run(Layout(data=D), Communication(gradient_bucket=5e6, units=u)) for u in (0.0, 40.0))
    assert few.exchanging[0].streams.slowed < many.exchanging[0].streams.slowed
    assert few.timeline.seconds < many.timeline.seconds


def test_gathering_ahead_hides_weights_that_gathering_on_demand_exposes() -> None:
    demand, ahead = (run(Layout(data=D, zero=3), Communication(prefetch=p), micro=8, batch=64) for p in (0, 2))
    assert not demand.exchanging[0].streams.seconds("hidden").get("weight_gathering")
    assert ahead.step_seconds < demand.step_seconds
    whole = demand.exchanging[0].streams.seconds("exposed")["weight_gathering"]
    parts = [ahead.exchanging[0].streams.seconds(w).get("weight_gathering", 0.0) for w in ("hidden", "exposed")]  # type: ignore[arg-type]
    assert sum(parts) == pytest.approx(whole)


@pytest.mark.parametrize("layout", [Layout(data=2, pipeline=2, zero=3), Layout(data=2, pipeline=2, chunks=2)])
def test_parts_add_up_and_layers_take_what_chunks_take(layout: Layout) -> None:
    found = run(layout, BUCKETS)
    assert sum(breakdown(found).values()) == pytest.approx(found.step_seconds)
    within = found.exchanging[0].within
    computed = found.timeline.busy(0) - sum(within.values())
    assert computed == pytest.approx(run(replace(layout, zero=0)).timeline.busy(0))


def test_weight_gradients_that_run_apart_are_reduced_when_the_last_of_them_are_there() -> None:
    layout = Layout(data=4, pipeline=2)
    given = job(layout=layout, batch=16, communication=Communication(gradient_bucket=5e6, units=0.0))
    found = step(given, ZeroBubble())
    plain = step(replace(given, communication=PLAIN), ZeroBubble()).timeline.seconds
    slowed = sum(lane.streams.slowed for lane in found.exchanging)
    assert plain <= found.timeline.seconds <= plain + slowed
    hidden = found.exchanging[0].streams.seconds("hidden")["gradient_reduction"]
    assert 0.0 < hidden < found.pass_seconds.weights[0]


@pytest.mark.parametrize(
    ("layout", "communication", "message"),
    [
        (Layout(data=D, zero=1), Communication(shards=Shards(D, D, D)), "leave one out"),
        (Layout(data=D), Communication(shards=Shards(3, 3, 6)), "does not divide 8"),
        (Layout(data=D), Communication(shards=Shards(4, 4, 4, secondary=3)), "secondary 3"),
        (Layout(data=D, zero=1), Communication(compression=DeepGradientCompression()), "sharded optimiser states"),
        (Layout(data=D), Communication(transport=Transport(gradients=DTYPES["int8"])), "set layout.zero"),
        (Layout(data=D, zero=1), Communication(transport=Transport(weights=DTYPES["int8"])), "transport.weights"),
        (Layout(data=D, zero=3), Communication(transport=Transport(secondary=DTYPES["int8"])), "transport.secondary"),
        (Layout(data=D, zero=3), Communication(transport=Transport(hop=2)), "hop 2 is of quantised"),
    ],
)
def test_what_does_not_go_together_is_refused(layout: Layout, communication: Communication, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(layout, communication)


@pytest.mark.parametrize(("steps", "overlapped"), [(1, False), (6, False), (6, True)])
def test_local_steps_average_once_a_round(steps: int, overlapped: bool) -> None:
    """A round of local steps and one all-reduce after them; beside them it costs nothing where it is shorter."""
    local = LocalSteps(steps, overlapped)
    found = run(Layout(data=D), Communication(units=0.0, local=local), micro=4, batch=4 * D)
    averaging, every_step = found.end.averaging(0), run(Layout(data=D), micro=4, batch=4 * D)
    whole = every_step.end.reduce_seconds(0)
    assert averaging.exposed + averaging.hidden == pytest.approx(whole / steps)
    assert averaging.exposed == pytest.approx(0.0 if overlapped else whole / steps)
    alone = found.timeline.seconds + found.end.update_seconds(0)
    assert found.step_seconds == pytest.approx(alone + averaging.added)
    assert sent(found) == pytest.approx(2.0 / steps)


def test_an_average_longer_than_its_round_is_exposed_by_the_rest() -> None:
    found = run(Layout(data=D), Communication(units=0.0, local=LocalSteps(1, overlapped=True)))
    whole = run(Layout(data=D)).end.reduce_seconds(0)
    averaging = found.end.averaging(0)
    computing = found.timeline.seconds + found.end.update_seconds(0) + averaging.slowed
    assert averaging.exposed == pytest.approx(max(0.0, whole - computing))
    assert averaging.hidden + averaging.exposed == pytest.approx(whole)


@pytest.mark.parametrize(
    ("layout", "schedule"),
    [
        (Layout(data=4, zero=3), None),
        (Layout(data=4, zero=3, chunks=2), None),
        (Layout(data=4, zero=3, pipeline=2, chunks=2), None),
        (Layout(data=4, zero=3, pipeline=2, chunks=2), ZeroBubbleV()),
    ],
)
def test_layers_of_a_stage_exchange_its_parameters_once(layout: Layout, schedule: ZeroBubbleV | None) -> None:
    """A tied embedding on the device of the head is one weight, whichever chunks they are in."""
    found = step(job(layout=layout, batch=16), schedule)
    for stage in range(layout.pipeline):
        layers = [x for p in found.job.layout.pieces(stage) for x in chunk_layer_calls(found.job, p)]
        assert sum(x.parameters for x in layers) == pytest.approx(found.states(stage).parameters)


def test_averaging_keeps_the_weights_of_the_rounds_beginning_and_momentum() -> None:
    local, plain = (run(Layout(data=D), c).states(0) for c in (Communication(local=LocalSteps(4)), PLAIN))
    assert local.total - plain.total == pytest.approx((4 + 4) * plain.parameters)


def test_at_degree_one_formats_of_what_would_be_sent_change_nothing() -> None:
    """A transport that a layout has no use for is refused, whatever its degree; at degree 1 it is as good as none."""
    for transport in (Transport(weights=DTYPES["int8"]), Transport(gradients=DTYPES["int8"])):
        given = Communication(transport=transport)
        assert run(Layout(zero=3), given).step_seconds == run(Layout(zero=3)).step_seconds
        for data in (1, 4):
            with pytest.raises(InputError, match=r"set layout\.zero to"):
                run(Layout(data=data), given)


@pytest.mark.parametrize("policy", [Ring(), Ulysses()])
def test_waiting_for_ranks_that_share_sequences_is_exposed(policy: ContextParallel) -> None:
    found = step_of(job(layout=Layout(context=4), micro=2), "nvidia-a100-sxm-80gb", context=policy)
    parts = breakdown(found)
    waited = parts.get("ring_wait", 0.0) + parts.get("all_to_all", 0.0)
    assert communication_figures(found, 0)["exposed_s"]["sequence_and_experts"] == pytest.approx(waited)
    assert waited > 0.0


def test_without_backward_passes_a_stage_sends_forward_only() -> None:
    plain, forward = (
        communication_figures(step(job(layout=Layout(pipeline=4), zeroth_order=rule)), 1)["sent_gb_per_device"]
        for rule in (None, ZerothOrder())
    )
    assert forward["pipeline"] == pytest.approx(plain["pipeline"])  # two forward passes for one forward, one back
