"""Sites over slow links: closed forms of waiting, conservation of bytes, and sites that come and go."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cli import main
from simulator.engine.training.sites.local_steps import Sites, required_bandwidth, steady_period
from simulator.engine.training.sites.presence import Presence, run_rounds
from simulator.hardware.links import Link
from simulator.policies.registry import build_policy
from simulator.policies.synchronisation import DiLoCo, EveryStep, LocalSgd, StreamingDiLoCo

LINK = Link("wan", 1e9, 0.0, 1.0, "test")
SITES = Sites(4, LINK, step=2.0, parameters=1e9)
RING = 2 * 3 / 4


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_sites_wait_for_the_whole_exchange_after_their_steps(steps: int) -> None:
    """A ring all-reduce sends 2 (n - 1) / n of the parameters' bytes over each link."""
    found = steady_period(SITES, steps, LocalSgd(steps).exchanges())
    exchange = RING * 4e9 / 1e9
    assert found.seconds == pytest.approx(2.0 * steps + exchange)
    assert found.waiting == pytest.approx(exchange)
    assert found.sent == pytest.approx(RING * 4e9)
    assert found.utilisation == pytest.approx(2.0 * steps / (2.0 * steps + exchange))


def test_gradients_hide_behind_the_backward_pass() -> None:
    fast = replace(SITES, link=replace(LINK, bandwidth=RING * 4e9 / (2.0 * 2 / 3)))
    assert steady_period(fast, 1, EveryStep().exchanges()).waiting == pytest.approx(0.0)
    half = replace(SITES, link=replace(LINK, bandwidth=RING * 4e9 / (2 * 2.0 * 2 / 3)))
    assert steady_period(half, 1, EveryStep().exchanges()).waiting == pytest.approx(4.0 / 3)


def test_fragments_hide_behind_the_steps_that_they_overlap() -> None:
    """A fragment of an eighth in 4 bits takes 0.094 s of the two seconds of the step beside which it is sent."""
    policy = StreamingDiLoCo(steps=100, fragments=8, overlap=1, bits=4)
    found = steady_period(SITES, 100, policy.exchanges())
    assert found.waiting == pytest.approx(0.0, abs=1e-9)
    assert found.sent == pytest.approx(RING * 1e9 * 4 / 8)
    blocking = steady_period(SITES, 100, StreamingDiLoCo(100, 8, 0, 4).exchanges())
    assert blocking.waiting == pytest.approx(RING * 0.5)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 8), st.integers(0, 20), st.floats(1e7, 1e11), st.floats(0.0, 1.0),
)  # fmt: skip
def test_time_is_computing_and_waiting_and_the_link_is_never_twice_in_use(
    steps: int, fragments: int, overlap: int, bandwidth: float, latency: float
) -> None:
    fragments, overlap = min(fragments, steps), min(overlap, steps)
    sites = replace(SITES, link=replace(LINK, bandwidth=bandwidth, latency=latency))
    found = steady_period(sites, steps, StreamingDiLoCo(steps, fragments, overlap).exchanges())
    assert found.computing == pytest.approx(2.0 * steps)
    assert found.waiting >= -1e-6 * found.seconds
    assert found.seconds >= max(found.computing, found.linked) * (1 - 1e-6)
    assert found.seconds <= (found.computing + found.linked) * (1 + 1e-6)


def test_the_required_bandwidth_is_that_of_the_closed_form() -> None:
    """Waiting may take steps x step x (1 / u - 1) seconds."""
    found = required_bandwidth(SITES, 100, LocalSgd(100).exchanges(), 0.95)
    assert found == pytest.approx(RING * 4e9 / (200.0 * (1 / 0.95 - 1)), rel=2e-3)
    slow = replace(SITES, link=replace(LINK, latency=100.0))
    assert required_bandwidth(slow, 1, LocalSgd(1).exchanges(), 0.95) == inf


@pytest.mark.parametrize(("overlap", "in_backward"), [(0, True), (1, False), (1, True), (5, True)])
def test_a_fragment_has_the_steps_it_overlaps_its_backward_pass_and_its_share_of_the_waiting(
    overlap: int, in_backward: bool
) -> None:
    policy = StreamingDiLoCo(96, 8, overlap, 4, in_backward=in_backward)
    found = required_bandwidth(SITES, 96, policy.exchanges(), 0.95)
    steps = overlap + (2 / 3 if in_backward else 0.0) + 12 * (1 / 0.95 - 1)
    assert found == pytest.approx(RING * 1e9 / 8 * 4 / 8 / (2.0 * steps), rel=2e-3)


def test_data_parallel_needs_a_hundred_times_the_bandwidth_of_streaming_as_in_the_papers_table_4() -> None:
    """222.3 against 2.0 Gbit/s for 95 % of the time with a billion parameters and steps of 0.1 s (arXiv:2501.18512)."""
    two = replace(SITES, count=2, step=0.1)
    every, streaming = EveryStep(bits=16), StreamingDiLoCo(100, 8, 1, 4, in_backward=True)
    needed = [required_bandwidth(two, p.period, p.exchanges(), 0.95) * 8e-9 for p in (every, streaming)]
    assert needed == pytest.approx([222.3, 2.0], rel=0.2)


def test_the_outer_step_counts_for_diloco_alone() -> None:
    sites = replace(SITES, outer=3.0)
    plain, outer = (steady_period(sites, 10, p(10).exchanges()).seconds for p in (LocalSgd, DiLoCo))
    assert outer == pytest.approx(plain + 3.0)


def test_sites_that_never_leave_take_part_in_every_round() -> None:
    stay = Presence(1e12, 1.0, 60.0, 1e9)
    found = run_rounds(SITES, LocalSgd(10), stay, 1e5, seed=3)
    period = steady_period(SITES, 10, LocalSgd(10).exchanges())
    assert found.active == 4.0
    assert found.computed == pytest.approx(4 * found.rounds * period.computing)
    assert found.waiting == pytest.approx(found.rounds * period.waiting)


def test_presence_is_the_share_of_stay_in_stay_and_absence() -> None:
    """Alternating renewal: a site is there stay / (stay + absence) of the time, less the copy of the state."""
    sites = replace(SITES, count=20)
    found = run_rounds(sites, LocalSgd(20), Presence(9000.0, 3000.0, 0.0, 0.0), 2e6, seed=1)
    assert found.active == pytest.approx(15.0, rel=0.03)
    assert found.left == pytest.approx(20 * 2e6 / 12000.0, rel=0.06)
    copied = run_rounds(sites, LocalSgd(20), Presence(9000.0, 3000.0, 0.0, 1e12), 2e6, seed=1)
    assert copied.active < found.active
    waited = run_rounds(sites, LocalSgd(20), Presence(9000.0, 3000.0, 30.0, 0.0), 2e6, seed=1)
    assert waited.waiting > found.waiting
    blocking = run_rounds(sites, LocalSgd(20), Presence(9000.0, 3000.0, 0.0, 1e12, live=False), 2e6, seed=1)
    assert blocking.computed < copied.computed


def test_wrong_plans_are_refused() -> None:
    with pytest.raises(ValueError, match="fragments 9"):
        build_policy("synchronisation", "streaming-diloco", {"steps": 8, "fragments": 9})
    with pytest.raises(ValueError, match="steps is 0"):
        build_policy("synchronisation", "diloco", {"steps": 0})
    with pytest.raises(ValueError, match=r"option steps is a whole number, not 10\.5"):
        build_policy("synchronisation", "diloco", {"steps": 10.5})
    for name in ("every-step", "local-sgd", "diloco", "streaming-diloco"):
        with pytest.raises(ValueError, match="bits is -4, and has to be above 0"):
            build_policy("synchronisation", name, {"bits": -4})


def test_the_command_shows_the_sites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sites.yaml"
    file.write_text(
        "kind: training\nmodel: {layers: 8, hidden: 1024, heads: 16}\ndevice: nvidia-a100-sxm-80gb\n"
        "batch: {sequence: 512, global_size: 16}\nsites: {count: 3, link: wan-1g, options: {steps: 50}}\n"
    )
    assert main(["train", str(file)]) == 0
    assert "bandwidth needed" in capsys.readouterr().out
    assert main(["train", str(file), "--set", "sites.policy=dilco"]) == 2
    assert "diloco" in capsys.readouterr().err
