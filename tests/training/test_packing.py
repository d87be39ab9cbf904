"""Sequences of different lengths: every policy places each once and within memory; steps against equal ones by hand."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.laying_out import step_of
from simulator.engine.training.varied import VariedStep
from simulator.errors import InputError
from simulator.policies.context import Ring
from simulator.policies.packing import Balanced, DynamicMesh, FlexibleGroups, InOrder, Mesh, Packing, Placed
from simulator.policies.packing.mesh import fill
from simulator.policies.pipeline import GPipe
from simulator.specs.training import BatchSpec, TrainingScenario
from simulator.training import lengths_of, train
from simulator.workloads.training.job import Layout
from tests.training.builders import job

DEVICE = "nvidia-a100-sxm-80gb"
POLICIES: list[Packing] = [InOrder(), Balanced(), DynamicMesh(), FlexibleGroups(), DynamicMesh(tokens=300)]


def law(lengths: Sequence[int], ranks: int) -> float:
    """Seconds by a law of one's own: fixed, linear and quadratic parts, and a transfer where ranks share."""
    tokens, squares = sum(lengths), sum(n * n for n in lengths)
    return 0.1 + (tokens + squares / 500) / ranks + (0.5 * tokens / ranks + 0.05 * ranks if ranks > 1 else 0.0)


def fixed(ranks: int) -> float:
    return law((), ranks)


def mesh(ranks: int = 8, usual: int = 4, pack: int = 2000, room: int = 600) -> Mesh:
    degrees = tuple(d for d in (1, 2, 3, 4, 6, 8) if d <= ranks)
    return Mesh(ranks, usual, pack, room, degrees, law, fixed)


def makespan(placed: list[Placed], ranks: int) -> float:
    free = [0.0] * ranks
    for each in sorted(placed, key=lambda p: p.turn):
        there = range(each.first, each.first + each.ranks)
        end = max(free[r] for r in there) + law(each.lengths, each.ranks)
        for r in there:
            free[r] = end
    return max(free)


lists = st.lists(st.integers(1, 2000), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(lists, st.sampled_from(POLICIES))
def test_every_sequence_runs_once_and_no_rank_two_micro_batches_at_once(lengths: list[int], policy: Packing) -> None:
    placed = policy.place(lengths, mesh())
    assert Counter(n for p in placed for n in p.lengths) == Counter(lengths)
    taken = [(p.turn, r) for p in placed for r in range(p.first, p.first + p.ranks)]
    assert len(set(taken)) == len(taken)
    assert all(0 <= r < 8 for _, r in taken)
    assert all(sum(p.lengths) <= p.ranks * 600 for p in placed)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(100, 300))
def test_first_fit_is_that_of_a_plain_search(lengths: list[int], size: int) -> None:
    packs: list[list[int]] = []
    for length in lengths:
        room = next((p for p in packs if sum(p) + length <= size), None)
        if room is None:
            packs.append([length])
        else:
            room.append(length)
    assert fill(lengths, size) == packs


def best_groups(lengths: Sequence[int], ranks: int) -> float:
    """Least seconds until all groups are done, over all ways to group four sequences and to give groups ranks."""
    best = float("inf")
    for owner in itertools.product(range(len(lengths)), repeat=len(lengths)):
        groups = [[n for n, o in zip(lengths, owner, strict=True) if o == g] for g in set(owner)]
        for degrees in itertools.product((1, 2, 4), repeat=len(groups)):
            if sum(degrees) <= ranks:
                best = min(best, max(law(g, d) for g, d in zip(groups, degrees, strict=True)))
    return best


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(20, 2000), min_size=1, max_size=4))
def test_flexible_groups_are_near_the_best_of_all(lengths: list[int]) -> None:
    """Within the 4/3 of longest-first placement (Graham, 1969), whatever bucketing and bisection leave."""
    placed = FlexibleGroups(more=0).place(lengths, mesh(4, room=10_000))
    assert makespan(placed, 4) <= 4 / 3 * best_groups(lengths, 4) * 1.01


def test_groups_fit_their_sequences() -> None:
    """A long sequence and many short ones: the long one is shared, the short ones are not."""
    placed = FlexibleGroups().place([2000] + [100] * 40, mesh())
    ranks = {n: p.ranks for p in placed for n in p.lengths}
    assert ranks[2000] >= 4
    assert ranks[100] == 1
    dynamic = {n: p.ranks for p in DynamicMesh().place([2000] + [100] * 40, mesh()) for n in p.lengths}
    assert dynamic == {2000: 4, 100: 1}


def test_fitting_groups_beat_a_static_mesh_and_balance_beats_order() -> None:
    lengths = [2000, 1500] + [50 + 13 * i % 200 for i in range(60)]
    spans = {type(p).__name__: makespan(p.place(lengths, mesh()), 8) for p in POLICIES[:4]}
    assert spans["Balanced"] <= spans["InOrder"]
    assert max(spans["FlexibleGroups"], spans["DynamicMesh"]) < spans["Balanced"]


def varied(lengths: Sequence[int], layout: Layout, packing: Packing, **rest: object) -> VariedStep:
    given_job = job(layout=layout, batch=layout.data, **rest)
    return VariedStep(step_of(given_job, DEVICE), tuple(lengths), packing, Ring())


@pytest.mark.parametrize("layout", [Layout(data=2), Layout(data=2, pipeline=4), Layout(data=2, context=4, tensor=2)])
def test_sequences_of_one_length_take_what_a_plain_step_does(layout: Layout) -> None:
    plain = step_of(job(layout=layout, batch=16), DEVICE)
    assert varied([512] * 16, layout, InOrder()).step_seconds == pytest.approx(plain.step_seconds, rel=1e-12)


def test_attention_stays_within_each_sequence_of_a_pack() -> None:
    one, two = (varied(n, Layout(), InOrder(), sequence=1024) for n in ([1024], [512, 512]))

    def flops(found: VariedStep) -> float:
        calls = found.passes(found.placed[0].lengths, 1)[0].forward
        return sum(float(np.asarray(c.op.flops())) * c.count for c in calls if c.op.kind == "attention")

    assert flops(two) == pytest.approx(flops(one) / 2, rel=2e-3)


def test_busy_and_idle_add_up_and_the_slowest_replica_decides() -> None:
    found = varied([512, 64, 64], Layout(data=3), InOrder(), sequence=512)
    ends, busy = found.ends
    assert len(found.placed) == 2
    assert busy[2] == 0.0
    assert found.step_seconds == pytest.approx(max(busy) + found.step.end.seconds)
    assert np.all(busy <= ends)


def test_sharded_weights_keep_ranks_in_step() -> None:
    lengths = [512, 32, 32, 512]
    free = varied(lengths, Layout(data=2, zero=1), InOrder(), sequence=512)
    together = varied(lengths, Layout(data=2, zero=3), InOrder(), sequence=512)
    assert together.passed >= free.passed
    placed = [Placed((512,), 0, 1, 0), Placed((32,), 1, 1, 0), Placed((32,), 0, 1, 1), Placed((512,), 1, 1, 1)]

    class Given:
        def place(self, lengths: Sequence[int], mesh: Mesh) -> list[Placed]:
            return placed

    long, short = (sum(free.pass_seconds(Placed((n,), 0, 1))) for n in (512, 32))
    assert replace(free, packing=Given()).passed == pytest.approx(long + short)
    found = replace(together, packing=Given())
    assert found.exchanging is not None
    assert found.passed - sum(found.exchanging.within.values()) == pytest.approx(2 * long)


def test_costs_for_policies_are_near_those_of_simulated_micro_batches() -> None:
    found = varied([8192] * 4, Layout(data=4), InOrder(), sequence=8192, hidden=2048)
    for lengths, ranks in (([8000], 1), ([3000, 2000, 900], 1), ([6000], 4), ([4000, 4000], 2)):
        exact = sum(found.pass_seconds(Placed(tuple(lengths), 0, ranks)))
        assert found.mesh.seconds(lengths, ranks) == pytest.approx(exact, rel=0.2)


def test_what_has_no_room_is_refused() -> None:
    with pytest.raises(InputError, match="longer than a pack"):
        _ = varied([513], Layout(), InOrder()).placed
    with pytest.raises(InputError, match="groups of different sizes"):
        _ = varied([512, 64, 64], Layout(data=4, pipeline=2), DynamicMesh()).ends
    big = varied([1 << 22], Layout(), InOrder(), sequence=1 << 22)
    with pytest.raises(InputError, match="a rank has room for"):
        _ = big.placed


def test_a_schedule_that_keeps_more_than_memory_is_reckoned_for_is_refused() -> None:
    found = varied([512] * 16, Layout(pipeline=2), InOrder())
    everything = replace(found, step=replace(found.step, schedule=GPipe()))
    with pytest.raises(InputError, match="keeps more micro-batches than there are stages"):
        _ = everything.ends
    assert varied([512] * 2, Layout(pipeline=2), InOrder()).ends[0].max() > 0.0


def test_lengths_come_from_a_seeded_law_and_are_cut() -> None:
    batch = BatchSpec(sequence=4096, global_size=2000, lengths={"law": "lognormal", "median": 1000, "sigma": 1.5})
    drawn = np.array(lengths_of(batch))
    assert drawn.max() == 4096
    assert np.median(drawn) == pytest.approx(1000, rel=0.15)
    assert lengths_of(batch) == lengths_of(batch)
    assert lengths_of(batch) != lengths_of(batch.model_copy(update={"seed": 1}))


def test_the_summary_names_the_fullest_device() -> None:
    fields = {
        "kind": "training", "model": {"layers": 4, "hidden": 256, "heads": 4}, "device": DEVICE,
        "layout": {"data": 2},
        "batch": {"sequence": 512, "global_size": 16, "lengths": {"law": "lognormal", "median": 99, "sigma": 0.5}},
    }  # fmt: skip
    found = train(TrainingScenario.model_validate(fields)).summary
    assert found["peak_memory_gb"] == max(stage["total"] for stage in found["memory_gb"])
