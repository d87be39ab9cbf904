"""Steps on slow devices against steps rank by rank, order statistics, and the usual step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cli import main
from simulator.engine.training.pipeline import PassSeconds, run_pipeline
from simulator.engine.training.slowdowns import Jitter, Static
from simulator.engine.training.step import Step
from simulator.engine.training.straggling import pipeline_seconds, straggling_steps
from simulator.policies.pipeline import Interleaved, OneForwardOneBackward, Schedule, ZeroBubble
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step


def pipelined(schedule: Schedule, chunks: int = 1, *, overlap: bool = True, data: int = 1) -> Step:
    layout = Layout(tensor=2, pipeline=4, data=data, chunks=chunks)
    return step(job(layout=layout, batch=8 * data, overlap_sends=overlap), schedule)


STEPS = [
    pipelined(OneForwardOneBackward()),
    pipelined(OneForwardOneBackward(), overlap=False),
    pipelined(Interleaved(), 2),
    pipelined(ZeroBubble()),
]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(STEPS), st.lists(st.floats(0.5, 5.0), min_size=4, max_size=4))
def test_all_rows_together_are_each_pipeline_by_itself(found: Step, factors: list[float]) -> None:
    """Folded replicas against one run of the passes with every stage's own seconds."""
    layout, seconds = found.job.layout, found.pass_seconds
    stage_of = {p: s for s in range(4) for p in layout.pieces(s)}

    def scaled(times: object) -> list[float]:
        return [t * factors[stage_of[p]] for p, t in enumerate(times)]  # type: ignore[arg-type, var-annotated]

    slow = PassSeconds(
        scaled(seconds.forward), scaled(seconds.backward), scaled(seconds.weights), seconds.send, seconds.waits
    )
    alone = run_pipeline(found.orders, slow, layout.placed).seconds
    rows = np.array([[1.0] * 4, factors])
    together = pipeline_seconds(found, rows)
    assert together[1] == pytest.approx(alone, rel=1e-12)
    assert together[0] == found.timeline.seconds


def test_without_slow_devices_the_step_is_the_usual_one() -> None:
    for found in STEPS:
        same = straggling_steps(found, [Static(3, 1.0)], 5, 0, seed=1)
        assert (same.seconds == found.step_seconds).all()
        assert same.slower == 1.0


def test_one_slow_device_slows_its_replica_and_all_that_wait_for_it() -> None:
    found = pipelined(OneForwardOneBackward(), data=4)
    slow = straggling_steps(found, [Static(1, 2.0)], 3, 0, seed=1)
    both = straggling_steps(found, [Static(2, 2.0)], 3, 0, seed=1)
    assert (slow.seconds > found.step_seconds).all()
    assert (slow.seconds == both.seconds).all()  # the two devices share the work of one stage
    spared = straggling_steps(found, [Static(1, 2.0)], 3, 1, seed=1)
    assert spared.seconds == pytest.approx(found.step_seconds)


@pytest.mark.parametrize("backups", [0, 2])
def test_replicas_wait_for_the_slowest_of_them(backups: int) -> None:
    """The largest of n exponential delays is expected after their mean times the harmonic number."""
    found = step(job(layout=Layout(data=8), batch=8))
    slow = straggling_steps(found, [Jitter(0.3)], 6000, backups, seed=4)
    expected = sum(1.0 / k for k in range(1 + backups, 9))
    passes = found.timeline.seconds
    assert (slow.seconds.mean() - found.step_seconds) / passes == pytest.approx(0.3 * expected, rel=0.03)


def test_a_run_goes_at_the_pace_of_its_stragglers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text(
        "kind: training\nmodel: {layers: 8, hidden: 1024, heads: 16}\ndevice: nvidia-a100-sxm-80gb\n"
        "batch: {sequence: 512, global_size: 16}\nlayout: {pipeline: 2, data: 4}\nrun: {days: 1}\n"
        "stragglers: {slowdowns: [{kind: static, factor: 1.5}]}\n"
    )
    assert main(["train", str(file), "--out", str(tmp_path)]) == 0
    assert "over the usual step" in capsys.readouterr().out
    from simulator.yaml_io import load_yaml

    summary = load_yaml(tmp_path / "summary.json")
    assert isinstance(summary, dict)
    assert summary["run"]["goodput"] == pytest.approx(1.0 / summary["stragglers"]["slower"])
    assert summary["run"]["lost_h"]["degraded"] == pytest.approx(24.0 * (1.0 - summary["run"]["goodput"]))
    for setting, message in (
        ("stragglers.backup_replicas=4", "there are 4 replicas: take fewer"),
        ("stragglers.slowdowns=[{kind: static, workers: 9}]", "there are 8: take fewer"),
    ):
        assert main(["train", str(file), "--set", setting]) == 2
        assert message in capsys.readouterr().err
