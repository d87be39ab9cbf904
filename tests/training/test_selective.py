"""Long sequences whose activations leave: conservation of bytes, bounds of the choice of ranks, and what it brings."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cli import main
from simulator.engine.training.laying_out import step_of
from simulator.engine.training.memory import RESERVED
from simulator.engine.training.offloading.sequences import Leaving
from simulator.engine.training.varied import VariedStep
from simulator.errors import InputError
from simulator.policies.context import Ring
from simulator.policies.offload import Selective
from simulator.policies.packing import DynamicMesh, Mesh
from simulator.policies.packing.dynamic_mesh import fewest
from simulator.training import load_training, train
from simulator.workloads.training.job import Layout
from tests.training.builders import job

DEGREES = (1, 2, 3, 4, 6, 8, 12, 16)


def law(lengths: list[int] | tuple[int, ...], ranks: int) -> float:
    """Attention shared out, beside a ring that takes as long on any number of ranks."""
    return max(sum(n * n for n in lengths) / 500 / ranks, 1.5 * sum(lengths) if ranks > 1 else 0.0)


def mesh(room: int, stretch: float) -> Mesh:
    return Mesh(16, 8, 4000, room, DEGREES, law, lambda ranks: 0.0, lambda tokens, ranks: stretch)


lengths = st.lists(st.integers(100, 3000), min_size=1, max_size=12)


@given(lengths, st.floats(1.0, 8.0))
def test_ranks_hold_their_sequence_and_no_limit_bounds_the_batch_better(
    given_lengths: list[int], stretch: float
) -> None:
    """Graham's bound of the choice is no worse than that of the fewest ranks everywhere or of the most."""
    with_offload, without = mesh(200, stretch), mesh(200, 1.0)
    chosen = fewest(given_lengths, 10_000, with_offload)
    most = [without.smallest(n, 10_000) for n in given_lengths]
    least = [with_offload.smallest(n, 10_000) for n in given_lengths]

    def bound(ranks: list[int]) -> float:
        seconds = [law([n], d) for n, d in zip(given_lengths, ranks, strict=True)]
        return max(seconds) + sum(s * d for s, d in zip(seconds, ranks, strict=True)) / 16

    assert all(lo <= d <= hi for lo, d, hi in zip(least, chosen, most, strict=True))
    assert all(d * 200 * stretch >= n for n, d in zip(given_lengths, chosen, strict=True))
    assert bound(chosen) <= min(bound(most), bound(least)) * (1 + 1e-12)
    assert fewest(given_lengths, 10_000, without) == most


def test_as_much_leaves_as_a_pass_hides_and_the_host_holds() -> None:
    leaving = Leaving(Selective(), rate=10.0, host_memory=300.0)
    assert leaving.share(100.0, 5.0) == pytest.approx(0.5)
    assert leaving.share(100.0, 50.0) == 1.0
    assert leaving.share(1000.0, 1e9) == pytest.approx(0.3)


@given(st.floats(1.0, 1e3), st.floats(0.0, 100.0), st.floats(101.0, 2e3), st.integers(4, 100))
def test_what_stays_fills_the_room(saved: float, working: float, room: float, layers: int) -> None:
    leaving = Leaving(Selective(buffers=2), 1.0, 1.0)
    left = leaving.needed(saved, working, room, layers)
    stays = saved * (1 + 2 / layers) - left + working
    assert stays == pytest.approx(room) if left else stays <= room * (1 + 1e-12)


LENGTHS = [1 << 19] * 4 + [5000] * 40


def varied(rate: float | None, host: float = 1e12) -> VariedStep:
    given_job = job(layout=Layout(data=2, context=128), sequence=1 << 19, batch=2, layers=64, hidden=2048)
    leaving = None if rate is None else Leaving(Selective(), rate, host)
    return VariedStep(step_of(given_job, "nvidia-a100-sxm-80gb"), tuple(LENGTHS), DynamicMesh(1 << 18), Ring(), leaving)


def test_long_sequences_take_fewer_ranks_and_stay_in_memory() -> None:
    plain, found = varied(None), varied(25e9)
    ranks = [max(p.ranks for p in v.placed) for v in (plain, found)]
    assert ranks[1] < ranks[0]
    assert found.step_seconds < plain.step_seconds
    assert sum(n for p in found.placed for n in p.lengths) == sum(LENGTHS)
    free = found.step.law.device.memory_capacity - RESERVED - found.step.states(0).total
    for each in found.placed:
        (passes,) = found.passes(each.lengths, each.ranks)
        left = found.memory.leaves(each)
        assert found.memory.kept(each, 0) + passes.working <= free
        assert left == 0.0 or left / 25e9 <= found.step.seconds(passes.forward) * 1.01
        assert (left > 0.0) == (sum(each.lengths) > each.ranks * found.room)


def test_slow_links_and_small_hosts_leave_less() -> None:
    assert varied(1e3).placed == varied(None).placed
    ranks = [max(p.ranks for p in varied(25e9, host).placed) for host in (1e12, 10e9, 1.0)]
    assert ranks[0] <= ranks[1] <= ranks[2]
    assert ranks[0] < ranks[2]


def test_copies_that_nothing_hides_make_passes_longer() -> None:
    found = varied(25e9)
    each = max(found.placed, key=lambda p: p.lengths)
    assert found.leaving is not None
    slow = replace(found, leaving=replace(found.leaving, rate=1e3))
    copied = slow.memory.leaves(each) / 1e3
    assert slow.pass_seconds(each) == (pytest.approx(copied), pytest.approx(copied))


def test_it_is_of_sequences_of_different_lengths_only() -> None:
    root = "simulator/scenarios/training"
    with pytest.raises(InputError, match=r"give batch\.lengths"):
        train(load_training(f"{root}/llama-7b-fsdp.yaml", {"offload": {"policy": "selective"}}))
    mixed = f"{root}/llama-7b-mixed-lengths.yaml"
    for policy, more, message in (
        ("zero-offload", {}, "sequences of different lengths beside offload policy zero-offload"),
        ("selective", {"layout.zero": 3}, r"selective beside layout\.zero above 1"),
    ):
        with pytest.raises(InputError, match=message):
            train(load_training(mixed, {"offload": {"policy": policy}, **more}))


def test_the_command_says_what_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(
        "kind: training\nmodel: {layers: 64, hidden: 2048, heads: 16}\ndevice: nvidia-a100-sxm-80gb\n"
        "batch: {sequence: 524288, global_size: 4, lengths: {law: fixed, tokens: 524288}}\n"
        "layout: {context: 128, data: 2}\npacking: {policy: dynamic-mesh, options: {tokens: 262144}}\n"
        "offload: {policy: selective}\n"
    )
    assert main(["train", str(file), "--json", str(tmp_path / "s.json")]) == 0
    assert re.search(
        r"activations that leave the devices +\| 4 micro-batches, up to [\d.]+ GB", capsys.readouterr().out
    )
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["sequences"]["offloaded_gb_per_device"] > 0.0
    assert summary["memory_gb"][0]["total"] <= 85.9
