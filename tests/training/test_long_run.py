"""Long runs against renewal theory, Young's and Daly's intervals, and arithmetic by hand."""

from __future__ import annotations

from math import inf, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.training_run import load_seconds, run_of, saved_bytes
from simulator.cli import main
from simulator.engine.training.long_run.arranged import Arranged
from simulator.engine.training.long_run.checkpoints import (
    Checkpoints,
    daly_interval,
    expected_goodput,
    young_interval,
)
from simulator.engine.training.long_run.cluster import Nodes
from simulator.engine.training.long_run.failures import Component, Failure, failures_of
from simulator.engine.training.long_run.run import Goal, LongRun, Outcome, Restarting
from simulator.errors import InputError
from simulator.policies.elastic import DropReplicas, Elastic, Reroute, Restart
from simulator.specs.training_run import CheckpointSpec, FailureSpec, RunSpec
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step

STEP = step(job(layout=Layout(tensor=8, pipeline=2, data=4)))
ARRANGED = Arranged(STEP)


def run(
    failures: list[Component] | list[Failure], checkpoints: Checkpoints, goal: Goal, *,
    down: Restarting | None = None, elastic: Elastic | None = None, spares: int = 100_000, seed: int = 1,
) -> Outcome:  # fmt: skip
    nodes = Nodes(STEP.job.layout, 8, spares)
    components = [f for f in failures if isinstance(f, Component)]
    given = [f for f in failures if isinstance(f, Failure)]
    stream = failures_of(components, nodes.count, seed) if components else iter(given)
    return LongRun(ARRANGED, nodes, stream, checkpoints, elastic or Restart(), down or Restarting(), goal).run()


def test_failures_of_many_components_come_at_the_sum_of_their_rates() -> None:
    components = [Component("device", 1000, 5e6), Component("host", 50, 1e6, shape=0.7), Component("link", 7, 2e5, 3.0)]
    until, counts = 3e6, dict.fromkeys(("device", "host", "link"), 0)
    last = 0.0
    for failure in failures_of(components, 32, 5):
        assert last <= failure.at
        last = failure.at
        if last > until:
            break
        counts[failure.cause] += 1
        assert 0 <= failure.node < 32
    assert counts["device"] == pytest.approx(600, abs=4 * sqrt(600))
    assert counts["link"] == pytest.approx(105, abs=4 * sqrt(105))  # less spread than Poisson
    # Renewals of one component exceed t / mean by (variance / mean^2 - 1) / 2 in the long run.
    assert counts["host"] == pytest.approx(150, abs=4 * sqrt(2.2 * 150) + 0.6 * 50)


def test_weibull_failures_renew_at_their_mean() -> None:
    """Hours of one component with wear-out: renewals in t are t / mean + (cv^2 - 1) / 2."""
    found = [0 for _ in range(20)]
    for seed in range(20):
        for failure in failures_of([Component("fan", 100, 10.0, shape=2.0)], 1, seed):
            if failure.at > 100.0:
                break
            found[seed] += 1
    variation = 4.0 / np.pi - 1.0
    assert np.mean(found) / 100 == pytest.approx(10.0 + (variation - 1.0) / 2.0, rel=0.02)


@pytest.mark.parametrize(("pause", "interval", "down"), [(2.0, 40.0, 0.0), (2.0, 40.0, 30.0), (5.0, 200.0, 60.0)])
def test_goodput_is_that_of_renewal_theory(pause: float, interval: float, down: float) -> None:
    """Exponential failures that strike in checkpoints and restarts too: Daly 2006, equation 20."""
    mtbf = 500.0
    checkpoints = Checkpoints(interval, pause)
    outcome = run([Component("node", 8, 8 * mtbf)], checkpoints, Goal(3e6), down=Restarting(down))
    useful = outcome.batches * STEP.step_seconds / outcome.seconds
    assert useful == pytest.approx(expected_goodput(checkpoints, mtbf, down), rel=0.01)
    assert outcome.failures["node"] == pytest.approx(6000, abs=4 * sqrt(6000))


def test_the_best_interval_is_dalys() -> None:
    """The optimum of simulated goodput over intervals, as the top of a parabola in the interval's logarithm."""
    pause, mtbf = 4.0, 600.0
    daly = daly_interval(pause, mtbf)
    factors = np.array([0.4, 0.65, 1.0, 1.5, 2.2])
    found = []
    for factor in factors:
        goal = Goal(1.5e6)
        outcome = run([Component("node", 8, 8 * mtbf)], Checkpoints(daly * factor, pause), goal, down=Restarting(30.0))
        found.append(outcome.batches)
    curve = np.polyfit(np.log(factors), found, 2)
    assert curve[0] < 0
    assert np.exp(-curve[1] / (2 * curve[0])) == pytest.approx(1.0, rel=0.15)
    assert young_interval(pause, mtbf) == pytest.approx(daly + pause, rel=0.1)


def test_dalys_interval_is_the_optimum_of_his_expectation() -> None:
    for pause in (0.1, 1.0, 10.0):
        best = daly_interval(pause, 600.0)
        grid = best * np.linspace(0.5, 1.5, 201)
        goodput = [expected_goodput(Checkpoints(float(x), pause), 600.0, 0.0) for x in grid]
        assert grid[int(np.argmax(goodput))] == pytest.approx(best, rel=0.02)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(20.0, 400.0), st.floats(0.0, 30.0), st.floats(0.0, 50.0), st.floats(0.0, 40.0), st.integers(0, 5),
    st.sampled_from([Restart(), DropReplicas(), Reroute()]), st.floats(0.0, 500.0), st.integers(0, 3),
)  # fmt: skip
def test_every_second_is_on_one_account(
    interval: float, pause: float, store: float, down: float, seed: int, elastic: Elastic, repair: float, spares: int
) -> None:
    component = Component("node", 8, 2000.0, 0.8, nodes=1, repair=repair, detection=7.0)
    outcome = run(
        [component], Checkpoints(interval, pause, store), Goal(2e4),
        down=Restarting(down, 3.0), elastic=elastic, spares=spares, seed=seed,
    )  # fmt: skip
    assert sum(outcome.spent.values()) == pytest.approx(2e4)
    assert min(outcome.spent.values()) >= -1e-6
    assert outcome.seconds == pytest.approx(2e4)
    assert outcome.batches * STEP.step_seconds <= outcome.spent["training"] * (1 + 1e-9)


def test_one_failure_costs_what_it_costs_by_hand() -> None:
    """Checkpoints of 10 s after 100 s each; the failure at 275 s comes 55 s after the second, noticed 20 s later."""
    failure = Failure(275.0, "node", 0, 1, 50.0, 20.0)
    outcome = run([failure], Checkpoints(100.0, 10.0), Goal(400.0), down=Restarting(5.0, 15.0))
    assert outcome.spent["lost_work"] == pytest.approx(55.0)
    assert outcome.spent["detection"] == pytest.approx(20.0)
    assert outcome.spent["reschedule"] + outcome.spent["loading"] == pytest.approx(20.0)
    assert outcome.spent["training"] == pytest.approx(200.0 + 85.0)
    assert outcome.spent["checkpoint"] == pytest.approx(20.0)
    without = run([failure], Checkpoints(100.0, 10.0), Goal(400.0), down=Restarting(5.0, 15.0), spares=0)
    assert without.spent["waiting"] == pytest.approx(30.0)


def test_a_checkpoint_in_the_background_counts_once_it_is_stored() -> None:
    early, late = Failure(130.0, "node", 0, 0, 0.0, 0.0), Failure(160.0, "node", 0, 0, 0.0, 0.0)
    checkpoints = Checkpoints(100.0, 1.0, store=40.0)
    assert run([early], checkpoints, Goal(165.0)).spent["lost_work"] == pytest.approx(129.0)
    assert run([late], checkpoints, Goal(165.0)).spent["lost_work"] == pytest.approx(59.0)


def test_a_run_of_steps_ends_with_the_last() -> None:
    outcome = run([], Checkpoints(inf, 0.0), Goal(batches=1000.0))
    assert outcome.batches == 1000.0
    assert outcome.seconds == pytest.approx(1000 * STEP.step_seconds)


def test_without_a_spare_elastic_runs_go_on_and_lose_less_than_a_step() -> None:
    failure = Failure(100.0, "node", 0, 1, 1000.0, 0.0)
    outcome = run([failure], Checkpoints(50.0, 1.0), Goal(500.0), elastic=DropReplicas(), spares=0)
    assert outcome.spent["lost_work"] < STEP.step_seconds
    assert outcome.spent["waiting"] == 0.0
    trained = outcome.batches * STEP.step_seconds
    before = 100.0 - outcome.spent["checkpoint"] / 9 - outcome.spent["lost_work"]
    assert trained == pytest.approx(before + 0.75 * (500.0 - 100.0 - 8 * 1.0), rel=0.01)


def test_a_job_of_one_node_without_a_spare_waits_for_its_repair_every_time() -> None:
    """Failures while the node is away hit nothing; those after its repair do: 100 s in 400 s is spent waiting."""
    alone = Arranged(step(job(layout=Layout(tensor=8))))
    failures = [Failure(at, "node", 0, 1, 100.0, 0.0) for at in (300.0, 350.0, 700.0, 1100.0)]
    nodes = Nodes(Layout(tensor=8), 8)
    run = LongRun(
        alone, nodes, iter(failures), Checkpoints(inf, 0.0), Restart(), Restarting(), Goal(1600.0)
    ).run()  # fmt: skip
    assert run.failures == {"node": 3}
    assert run.spent["waiting"] == pytest.approx(300.0)
    assert run.spent["training"] + run.spent["lost_work"] == pytest.approx(1300.0)


def test_failures_without_end_of_an_empty_place_do_not_keep_a_run_from_ending() -> None:
    """One node that fails with mean M and is repaired in R: shares of time M / (M + R) and R / (M + R) of renewals."""
    alone = Arranged(step(job(layout=Layout(tensor=8))))
    failures = failures_of([Component("node", 1, 1000.0, repair=500.0)], 1, 3)
    outcome = LongRun(
        alone, Nodes(Layout(tensor=8), 8), failures, Checkpoints(inf, 0.0), Restart(), Restarting(), Goal(2e6)
    ).run()
    # Exponential failures forget: the time from a repair to the next one that hits has mean M.
    assert outcome.spent["waiting"] / 2e6 == pytest.approx(500.0 / 1500.0, rel=0.05)


def test_checkpoint_bytes_are_those_of_all_parameters_once() -> None:
    for zero in (0, 1, 3):
        found = step(job(layout=Layout(tensor=2, pipeline=2, data=4, zero=zero)))
        assert saved_bytes(found) == pytest.approx(found.parameters() * (2 + 12), rel=1e-6)
    plain, sharded = (step(job(layout=Layout(data=8, zero=z))) for z in (0, 3))
    spec = RunSpec(days=1.0, checkpoint=CheckpointSpec(node_gb_per_s=1e6))
    assert load_seconds(spec, plain) == pytest.approx(8 * load_seconds(spec, sharded), rel=0.01)


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "failures.csv"
    file.write_text("hours,cause,node,repair_h\n2.5,gpu,3,1\n1.0,switch,0,0\n")
    spec = RunSpec(days=0.25, trace=str(file), spares=1)
    assert run_of(spec, STEP).outcome.failures == {"switch": 1, "gpu": 1}
    file.write_text("hours,cause,node\n2.5,gpu,99\n")
    with pytest.raises(InputError, match="job has nodes 0 to 7"):
        run_of(spec, STEP)
    file.write_text("hours,cause,node\nsoon,gpu,1\n")
    with pytest.raises(InputError, match="hours is 'soon'"):
        run_of(spec, STEP)


def test_the_same_seed_gives_the_same_run() -> None:
    failing = FailureSpec(cause="node", mtbf_h=24.0, repair_h=2.0)
    spec = RunSpec(days=3.0, failures=[failing], reschedule_s=60)
    assert run_of(spec, STEP).outcome == run_of(spec, STEP).outcome
    assert run_of(spec.model_copy(update={"seed": 1}), STEP).outcome != run_of(spec, STEP).outcome


def test_the_command_shows_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[2] / "simulator" / "scenarios" / "training" / "month-16384.yaml"
    assert main(["train", str(example), "--set", "run.days=3", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "goodput" in shown
    assert "young" in shown
    assert main(["train", str(example), "--set", "run.steps=10"]) == 2
    assert "either days or steps" in capsys.readouterr().err


def test_runs_that_do_not_get_on_are_refused() -> None:
    """Failures every second allow no restart of a minute: no run to a step's count would end."""
    hopeless = FailureSpec(cause="node", mtbf_h=8 / 3600, nodes=0)
    with pytest.raises(InputError, match="raise mtbf_h"):
        run_of(
            RunSpec(steps=10**6, failures=[hopeless], reschedule_s=60, checkpoint=CheckpointSpec(interval_s=600)), STEP
        )
    with pytest.raises(InputError, match=r"raise checkpoint\.interval_s"):
        run_of(RunSpec(days=1000.0, checkpoint=CheckpointSpec(interval_s=0.001, write_gb_per_s=1e6)), STEP)
