"""Rounds of gradients against order statistics, the loads of codes, and the patterns that they tolerate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cli import main
from simulator.engine.training.rounds import RoundsOutcome, Work, run_rounds
from simulator.engine.training.slowdowns import Jitter, Slowdown, Static, Transient, slowdown_factors
from simulator.policies.rounds import (
    BackupWorkers,
    DynamicBackupWorkers,
    GradientCoding,
    Progress,
    RoundRule,
    SequentialGradientCoding,
    WaitForAll,
)

STILL = Progress(1.0, 0.0, 0.0)


def rounds(rule: RoundRule, slowdowns: list[Slowdown], *, workers: int = 16, count: int = 4000) -> RoundsOutcome:
    """Rounds in which the usual worker takes one second for a share of 1 / workers."""
    return run_rounds(Work(0.0, float(workers)), workers, count, rule, slowdowns, 1, STILL)


def harmonic(n: int) -> float:
    return float(sum(1.0 / k for k in range(1, n + 1)))


@pytest.mark.parametrize("backups", [0, 1, 4, 15])
def test_rounds_last_as_long_as_order_statistics_of_exponential_times(backups: int) -> None:
    """The k-th of n answers is expected after H(n) - H(n - k) means."""
    found = rounds(BackupWorkers(backups), [Jitter(2.0)])
    expected = 1.0 + 2.0 * (harmonic(16) - harmonic(backups))
    assert found.seconds.mean() == pytest.approx(expected, rel=0.03)
    assert (found.used == 16 - backups).all()
    if not backups:
        assert np.array_equal(found.seconds, rounds(WaitForAll(), [Jitter(2.0)]).seconds)


def test_one_slow_worker_slows_all_unless_it_is_not_waited_for() -> None:
    slow: list[Slowdown] = [Static(2, 5.0)]
    assert rounds(WaitForAll(), slow).seconds == pytest.approx(5.0)
    assert rounds(BackupWorkers(1), slow).seconds == pytest.approx(5.0)
    assert rounds(BackupWorkers(2), slow).seconds == pytest.approx(1.0)


@pytest.mark.parametrize("stragglers", [0, 1, 3])
def test_a_gradient_code_works_more_and_misses_some(stragglers: int) -> None:
    """Redundancy s costs (s + 1) / n of the batch and leaves s answers out."""
    found = rounds(GradientCoding(stragglers), [Static(3, 50.0)])
    assert found.load == pytest.approx((stragglers + 1) / 16)
    expected = (stragglers + 1) * (1.0 if stragglers == 3 else 50.0)
    assert found.seconds == pytest.approx(expected)
    assert (found.used == 16).all()


def test_transient_slowness_is_as_frequent_as_its_chain_says() -> None:
    factors = slowdown_factors([Transient(0.05, 0.4, 3.0)], 2000, 100, 7)
    slow = factors > 1.0
    assert slow.mean() == pytest.approx(0.05 / 0.45, rel=0.03)
    again = (slow[1:] & slow[:-1]).sum() / slow[:-1].sum()
    assert again == pytest.approx(0.6, rel=0.02)


def test_jitter_has_its_mean_and_processes_their_own_streams() -> None:
    for law in ("exponential", "lognormal"):
        assert slowdown_factors([Jitter(0.5, law)], 500, 200, 3).mean() == pytest.approx(1.5, rel=0.02)  # type: ignore[arg-type]
    alone = slowdown_factors([Jitter(0.5)], 10, 8, 3)
    assert np.array_equal(slowdown_factors([Jitter(0.5), Static(8, 2.0)], 10, 8, 3), 2.0 * alone)


def test_the_load_of_a_sequential_code_lies_between_one_share_and_the_gradient_code() -> None:
    """With a long window repetition does nearly all; the shortest one is as good as 2 shares."""
    assert SequentialGradientCoding(1, 2, 27).load(256) == pytest.approx(28 * 2 / (256 * 29))
    assert SequentialGradientCoding(1, 1000, 27).load(256) == pytest.approx(1 / 256, rel=0.01)
    assert SequentialGradientCoding(1, 2, 0).load(256) == pytest.approx(1 / 256)
    assert SequentialGradientCoding(2, 3, 27).load(256) < GradientCoding(27).load(256)
    assert SequentialGradientCoding(2, 3, 8).load(8) == pytest.approx(4 / (8 * 2))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 2), st.integers(1, 3), st.integers(0, 4), st.integers(0, 2**31))
def test_missing_answers_always_are_a_pattern_that_the_code_tolerates(
    data: st.DataObject, burst: int, more: int, stragglers: int, seed: int
) -> None:
    """In every window: few stragglers, each within one short burst; and a round never ends before its deadline."""
    window = burst + more
    rule = SequentialGradientCoding(burst, window, stragglers, tolerance=0.5)
    times = np.random.default_rng(seed).lognormal(0.0, 1.0, (12, 6))
    late = []
    for row in times:
        closed = rule.close(row, STILL)
        late.append(row > closed.seconds)
        assert closed.seconds >= min(1.5 * row.min(), row.max())
    for start in range(12 - window + 1):
        part = np.array(late[start : start + window])
        assert part.any(axis=0).sum() <= stragglers
        for worker in part.T:
            at = np.flatnonzero(worker)
            assert not at.size or at[-1] - at[0] < burst


def test_sequential_codes_need_rounds_more_to_decode_the_last() -> None:
    assert rounds(SequentialGradientCoding(2, 4, 3), [], count=10).seconds.size == 10 + 4 - 2 + 2
    assert rounds(GradientCoding(3), [], count=10).seconds.size == 10


def test_dynamic_backups_take_the_count_that_gains_most_a_second() -> None:
    """Without noise one answer is as good as all; with noise that eats any gain of a few, more are waited for."""
    seconds = np.arange(1.0, 5.0)
    for noise, expected in ((0.0, 1), (0.02, 2), (1.0, 4)):
        rule = DynamicBackupWorkers()
        progress = Progress(1.0, 0.02, noise)
        assert rule.close(seconds, progress).used == 4
        gains = [(progress.rate - noise / k) / k for k in range(1, 5)]
        best = int(np.argmax(gains)) + 1 if max(gains) > 0 else 4
        assert rule.close(seconds, progress).used == best == expected


def test_dynamic_backups_wait_for_more_as_the_gap_shrinks() -> None:
    progress = Progress(1.0, 0.02, 0.002)
    found = run_rounds(Work(0.0, 16.0), 16, 5000, DynamicBackupWorkers(), [Jitter(5.0)], 1, progress, target=0.02)
    assert found.reached
    assert found.used[1:30].mean() < found.used[-30:].mean()
    best = min(
        float(run_rounds(Work(0.0, 16.0), 16, 5000, BackupWorkers(b), [Jitter(5.0)], 1, progress, 0.02).seconds.sum())
        for b in range(11)
    )
    assert found.seconds.sum() < best


def test_a_scenario_runs_and_wrong_ones_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rounds.yaml"
    file.write_text("kind: rounds\nworkers: 8\nrounds: 20\nwork: {batch_s: 8}\nslowdowns: [{kind: jitter}]\n")
    assert main(["train", str(file), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "summary.json").exists()
    assert main(["run", str(file), "--quiet"]) == 0
    capsys.readouterr()
    for setting, message in (
        ("rule={policy: backup-workers, options: {workers: 8}}", "leave none"),
        ("rule={policy: gradient-coding, options: {stragglers: 9}}", "take fewer"),
        ("rule.policy=wait-for-al", "wait-for-all"),
        ("progress={rate: 0.1, noise: 1, target: 0.01}", "not reached"),
        ("workers=0", "workers"),
        (
            "slowdowns=[{kind: static, workers: 9}]",
            "error: slowdowns: the first 9 workers are slow, and there are 8: take fewer",
        ),
        ("slowdowns=[{kind: jitter, factor: 2}]", "factor changes nothing where kind is jitter, which takes mean"),
    ):
        assert main(["train", str(file), "--set", setting]) == 2
        assert message in capsys.readouterr().err
