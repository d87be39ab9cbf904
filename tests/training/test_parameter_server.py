"""Workers with a parameter server against closed queueing networks, order statistics and conservation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from simulator.cli import main
from simulator.comparison.training import compare_training
from simulator.engine.training.parameter_server.run import Server, run_workers
from simulator.engine.training.parameter_server.shared_link import SharedLink
from simulator.hardware.device import device
from simulator.hardware.fair_sharing import max_min_rates
from simulator.policies.consistency import Asynchronous, BatchAsynchronous, BulkSynchronous, StaleSynchronous
from simulator.policies.local_steps import BySpeed, Equal
from simulator.report.comparison.training import sentences
from simulator.yaml_io import load_yaml

FREE = Server(0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def exponential(steps: int, workers: int, mean: float) -> NDArray[np.float64]:
    return np.random.default_rng(3).exponential(mean, (steps, workers))


def test_equal_workers_with_a_free_server_update_it_by_turns() -> None:
    """n workers that take T seconds update n / T times a second, each time with what is n - 1 updates old."""
    found = run_workers(FREE, np.full((30, 7), 2.0), Asynchronous(), 5)
    assert found.updates / found.seconds == pytest.approx(7 / 2.0)
    assert (found.staleness == 6).all()
    assert found.computing == pytest.approx(7 * found.seconds)


@pytest.mark.parametrize("service", [0.02, 0.15, 0.6])
def test_a_shared_link_is_a_machine_repairman(service: float) -> None:
    """Mean value analysis of a closed network; with processor sharing only mean times matter (BCMP, 1975).

    Every gradient is outstanding from its pull to its update, so that each update sees those of all others: on the
    mean staleness is n - 1 whatever the times.
    """
    workers, think, queue, pace = 8, 1.0, 0.0, 0.0
    for n in range(1, workers + 1):
        response = service * (1.0 + queue)
        pace = n / (think + response)
        queue = pace * response
    server = Server(service, 0.0, 1.0, 0.0, 0.0, 0.0)
    found = run_workers(server, exponential(3000, workers, think), Asynchronous(), 100)
    assert found.updates / found.seconds == pytest.approx(pace, rel=0.015)
    assert found.receiving == pytest.approx(min(1.0, pace * service), rel=0.015)
    assert found.staleness.mean() == pytest.approx(workers - 1, abs=0.01)


@pytest.mark.parametrize(("think", "latency"), [(2.0, 0.25), (1.0, 1.5)])
def test_overlapped_exchanges_cost_only_what_is_longer_than_computing(think: float, latency: float) -> None:
    """Between a pull and the update by its gradient two cycles pass, and in them 2 n - 1 others (Little's law)."""
    seconds = np.full((80, 6), think)
    server = Server(0.0, 0.0, 1.0, latency, 0.0, 0.0)
    found = run_workers(server, seconds, Asynchronous(), 20, overlapped=True)
    cycle = max(think, 2 * latency)
    assert found.updates / found.seconds == pytest.approx(6 / cycle, rel=0.02)
    assert (found.staleness == 2 * 6 - 1).all()
    apart = run_workers(server, seconds, Asynchronous(), 20)
    assert apart.updates / apart.seconds == pytest.approx(6 / (think + 2 * latency), rel=0.02)


def test_a_server_that_is_too_slow_sets_the_pace() -> None:
    found = run_workers(Server(0.0, 0.0, 1.0, 0.0, 0.0, 0.5), np.full((40, 10), 1.0), Asynchronous(), 10)
    assert found.updates / found.seconds == pytest.approx(2.0, rel=0.02)
    assert found.updating == pytest.approx(found.seconds)
    assert found.computing / found.seconds == pytest.approx(2.0, rel=0.03)  # busy workers: pace x computing (Little)


def test_workers_that_wait_for_all_take_as_long_as_the_slowest() -> None:
    seconds = exponential(200, 16, 1.0)
    found = run_workers(FREE, seconds, BulkSynchronous(), 20)
    assert found.seconds == pytest.approx(seconds[20:].max(axis=1).sum())
    assert found.updates == 180
    assert not found.staleness.any()
    assert found.waiting == pytest.approx(16 * found.seconds - seconds[20:].sum())


servers = st.builds(
    Server, st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 4), st.floats(0, 0.5), st.floats(0, 0.1), st.floats(0, 0.5)
)
draws = st.tuples(st.integers(1, 12), st.integers(1, 6), st.integers(0, 9999))


@settings(max_examples=60, deadline=None)
@given(servers, draws, st.integers(0, 4))
def test_nobody_is_further_ahead_than_the_bound_and_no_gradient_is_lost(
    server: Server, drawn: tuple[int, int, int], bound: int
) -> None:
    steps, workers, seed = drawn
    seconds = np.random.default_rng(seed).lognormal(0.0, 1.0, (steps, workers))
    found = run_workers(server, seconds, StaleSynchronous(bound), 0)
    assert found.ahead.max() <= bound
    assert found.pushed == found.applied + found.in_flight
    assert found.applied == found.updates * (1 if bound else workers)
    assert found.computing + found.waiting <= workers * found.seconds * (1 + 1e-9)
    if bound:
        # between a pull and its update, others may each do what the bound allows ahead and behind it
        assert found.staleness.size == 0 or found.staleness.max() <= (workers - 1) * (2 * bound + 1)
    else:
        same = run_workers(server, seconds, BulkSynchronous(), 0)
        assert (same.seconds, same.waiting, same.pushed) == (found.seconds, found.waiting, found.pushed)
    beside = run_workers(server, seconds, StaleSynchronous(bound), 0, overlapped=True)
    assert beside.ahead.max() <= bound
    assert beside.pushed == beside.applied + beside.in_flight
    assert beside.computing + beside.waiting <= workers * beside.seconds * (1 + 1e-9)
    free = run_workers(server, seconds, Asynchronous(), 0)
    assert free.pushed == free.applied + free.in_flight
    assert run_workers(server, seconds, StaleSynchronous(steps), 0).seconds == free.seconds


def test_updates_by_batches_count_all_gradients() -> None:
    found = run_workers(FREE, exponential(100, 6, 1.0), BatchAsynchronous(4), 0)
    assert found.applied == 4 * found.updates
    assert 0 <= found.pushed - found.applied < 4
    assert found.waiting == 0.0


def test_a_rule_that_lets_nobody_go_on_is_named() -> None:
    class Never(Asynchronous):
        def may_begin(self, ahead: int) -> bool:
            return False

    with pytest.raises(ValueError, match="wait for each other for ever"):
        run_workers(FREE, np.ones((3, 2)), Never(), 0)


def test_messages_share_the_link_as_flows_do() -> None:
    """The rates of max-min fairness, with a link of each sender and one that all share."""
    senders, own, shared, size = 5, 2.0, 6.0, 12.0
    link = SharedLink(size / own, shared / own)
    for worker in range(senders):
        link.join(0.0, worker)
    usage = csr_array(np.hstack([np.eye(senders), np.ones((senders, 1))]))
    rates = max_min_rates(usage, np.array([own] * senders + [shared]))
    assert link.next_end == pytest.approx(size / float(rates[0]))


FILE = """
kind: training
model: {layers: 8, hidden: 1024, heads: 16}
device: nvidia-a100-sxm-80gb
batch: {sequence: 512, global_size: 32}
layout: {pipeline: 2, data: 8}
stragglers: {slowdowns: [{kind: jitter, mean: 0.4}], steps: 50, seed: 5}
parameter_server: {policy: stale-synchronous, options: {staleness: 0}, steps: 50, warm_up: 0,
                   gbit_per_s: 1000000, latency_ms: 0, servers: 1000}
"""


def figures(file: Path, *settings: str) -> dict[str, Any]:
    given = [text for setting in settings for text in ("--set", f"parameter_server.{setting}")]
    assert main(["train", str(file), "--json", str(file.with_suffix(".json")), *given]) == 0
    found = load_yaml(file.with_suffix(".json"))
    assert isinstance(found, dict)
    return found


def test_without_staleness_a_job_is_the_synchronous_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With links and servers that cost nothing, stragglers add as much to a step as to one of the job itself."""
    file = tmp_path / "test.yaml"
    file.write_text(FILE)
    found = figures(file)
    served = found["parameter_server"]
    assert "staleness in updates" in capsys.readouterr().out
    usual = tmp_path / "usual.yaml"
    usual.write_text(FILE.replace("mean: 0.4", "mean: 1.0e-9"))
    added = served["mean_step_s"] - figures(usual)["parameter_server"]["mean_step_s"]
    slow = found["stragglers"]["step_s"]["mean"] - found["stragglers"]["usual_step_s"]
    assert added == pytest.approx(slow, rel=0.005)  # pushes that come apart do not queue to be summed
    assert served["over_synchronous"] == 1.0
    free = figures(file, "policy=asynchronous", "options={}")["parameter_server"]
    assert free["over_synchronous"] > 1.2
    assert free["workers_share"]["waiting"] == 0.0
    longer = figures(file, "policy=asynchronous", "options={}", "gbit_per_s=1", "servers=1", "local_steps=1")
    local = figures(file, "policy=asynchronous", "options={}", "gbit_per_s=1", "servers=1", "local_steps=20")
    sent = [f["parameter_server"]["workers_share"]["exchanging"] for f in (longer, local)]
    assert sent[0] > sent[1]


def test_energy_and_cost_go_by_the_workers_pace(tmp_path: Path) -> None:
    """A slower network adds what devices cost, and draw when idle, in the time that it adds."""
    file = tmp_path / "test.yaml"
    file.write_text(FILE + "price_per_device_hour: 3.6\n")
    fast, slow = (figures(file, f"gbit_per_s={rate}", "servers=8") for rate in (1000, 10))
    steps = [f["parameter_server"]["mean_step_s"] for f in (fast, slow)]
    assert steps[1] > 1.5 * steps[0]
    assert fast["step_s"] == slow["step_s"]
    idle = 16 * device("nvidia-a100-sxm-80gb").idle_power
    assert (slow["energy_kwh"] - fast["energy_kwh"]) * 3.6e6 == pytest.approx(idle * (steps[1] - steps[0]))
    for found, seconds in zip((fast, slow), steps, strict=True):
        assert found["cost_usd"] == pytest.approx(3.6 * 16 * seconds / 3600)
        assert found["cost_per_million_tokens_usd"] == pytest.approx(found["cost_usd"] / (32 * 512) * 1e6)
        assert sum(found["parameter_server"]["breakdown_s"].values()) == pytest.approx(seconds)


def test_a_comparison_is_by_the_pace_with_the_server(tmp_path: Path) -> None:
    """Without the server both are alike; with it the one whose link is slower has the longer step."""
    files = [tmp_path / "fast.yaml", tmp_path / "slow.yaml"]
    files[0].write_text(FILE)
    files[1].write_text(FILE.replace("gbit_per_s: 1000000", "gbit_per_s: 10").replace("servers: 1000", "servers: 8"))
    found = compare_training(files)
    served = [r.summary["parameter_server"] for r in found.results]
    assert found.figures["tokens_per_s"] == pytest.approx([s["tokens_per_s"] for s in served])
    assert found.figures["step_s"] == [s["mean_step_s"] for s in served]
    for measure in ("tokens_per_s", "tokens_per_s_and_device", "mfu", "cost_per_million_tokens_usd"):
        assert found.best[measure] == ["fast"]
    more = served[1]["mean_step_s"] - served[0]["mean_step_s"]
    assert found.parts(1)[0].name == "parameter_server"
    assert sum(p.more for p in found.parts(1)) == pytest.approx(more)
    told = sentences(found)
    assert told[0] == "fast is the quickest by tokens a second."
    assert "fast, slow are those with a parameter server" in told[1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("parameter_server.replicas_per_worker=3", "does not divide the 8 replicas"),
        ("parameter_server.warm_up=50", "leaves none of 50 steps"),
        ("parameter_server.policy=stale-synchronus", "did you mean stale-synchronous"),
        ("parameter_server.steps=100000", "take fewer steps"),
        ("stragglers.backup_replicas=1", "stragglers.backup_replicas"),
        ("run={days: 1}", "a run with failures"),
        ("stages={each: [{layers: 3}, {layers: 5}]}", "stages"),
        ("optimizer=muon", "optimizer muon"),
    ],
)
def test_what_cannot_be_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(FILE)
    assert main(["train", str(file), "--set", setting]) == 2
    assert message in capsys.readouterr().err


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=20), st.integers(1, 200))
def test_steps_dealt_by_speed_take_about_as_long(seconds: list[float], most: int) -> None:
    """No worker takes longer than the fastest with all its steps, but one with a single step; nor a step less."""
    dealt = BySpeed().steps(most, seconds)
    whole = most * min(seconds)
    for steps, each in zip(dealt, seconds, strict=True):
        assert 1 <= steps <= most
        assert steps == 1 or steps * each <= whole * (1 + 1e-6)
        assert (steps + 1) * each > whole * (1 - 1e-6)
    assert Equal().steps(most, seconds) == [most] * len(seconds)


def test_workers_of_unequal_speed_give_what_each_can(tmp_path: Path) -> None:
    """Waiting for all they go at the slowest one's pace; else samples a second are the sum of their own paces."""
    file = tmp_path / "test.yaml"
    slow = "stragglers: {slowdowns: [{kind: static, workers: 4, factor: 4}]}"
    file.write_text(FILE.replace("stragglers: {slowdowns: [{kind: jitter, mean: 0.4}], steps: 50, seed: 5}", slow))
    half = ("policy=asynchronous", "options={}", "local_steps=20", "steps=60")
    served = figures(file, *half)["parameter_server"]
    by_speed = figures(file, *half, "dealt=by-speed")["parameter_server"]
    usual = tmp_path / "usual.yaml"
    usual.write_text(FILE.replace("mean: 0.4", "mean: 1.0e-9"))
    fast = figures(usual, *half)["parameter_server"]["mean_step_s"]
    together = figures(file, *half, "policy=bulk-synchronous")["parameter_server"]
    # four of eight workers are slow, by a device of their first stage
    paces = [4 * 4 / fast, 4 * 4 / together["mean_step_s"]]
    for found in (served, by_speed):
        assert found["samples_per_s"] == pytest.approx(sum(paces), rel=0.02)
    assert by_speed["local_steps"]["most"] == 20 > by_speed["local_steps"]["least"]
    assert served["steps_ahead"]["max"] > 20 > by_speed["steps_ahead"]["max"]


def test_a_worker_keeps_no_optimiser_states(tmp_path: Path) -> None:
    """Weights in 16 bits and gradients in fp32: 6 bytes a parameter in place of Adam's 18."""
    file = tmp_path / "test.yaml"
    file.write_text(FILE)
    found = figures(file)
    left = max(stage["total"] - stage["optimizer"] for stage in found["memory_gb"])
    assert found["parameter_server"]["worker_memory_gb"] == pytest.approx(left)
    assert found["memory_gb"][0]["optimizer"] == pytest.approx(2 * found["memory_gb"][0]["weights"] * 3)
