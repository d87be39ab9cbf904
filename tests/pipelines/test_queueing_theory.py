"""Stages against queueing theory; textbook formulas as in Kleinrock, Queueing Systems (1975)."""

from math import factorial

import numpy as np
import pytest

from tests.pipelines.running import constant, covers, exponential, poisson, queued, run, sojourns


def test_a_tandem_of_exponential_stages_is_a_jackson_network():
    """Each stage alone is M/M/1: sojourn 1 / (mu - lambda), Poisson departures."""
    result = run(
        sources={"s": poisson(100, 16_000, "a")},
        stages={"a": {"service": exponential(5), "to": "b"}, "b": {"service": exponential(6)}},
    )
    assert covers(sojourns(result, "a"), 1 / (200 - 100))
    assert covers(sojourns(result, "b"), 1 / (1000 / 6 - 100))


def test_feedback_adds_to_the_load_of_a_stage():
    """A quarter comes back: load lambda / (1 - p), sojourn of one visit as M/M/1 at that load (Jackson 1957)."""
    again = {"policy": "probabilistic", "options": {"weights": {"a": 1, "done": 3}}}
    result = run(sources={"s": poisson(75, 16_000, "a")}, stages={"a": {"service": exponential(5), "to": again}})
    assert covers(sojourns(result, "a"), 1 / (200 - 100))
    assert len(result.outcome.visits) / 16_000 == pytest.approx(4 / 3, rel=0.02)


def test_constant_service_halves_the_wait():
    """M/D/1: rho / (2 mu (1 - rho))."""
    result = run(sources={"s": poisson(120, 16_000, "a")}, stages={"a": {"service": constant(5)}})
    assert covers(queued(result, "a"), 0.6 * 5e-3 / (2 * 0.4))


@pytest.mark.parametrize("on_device", [False, True])
def test_several_servers(on_device):
    """M/M/c by Erlang's C, whether a stage has the servers or the device that it runs on."""
    c, offered = 3, 2.1
    erlang_c = (offered**c / factorial(c) * c / (c - offered)) / (
        sum(offered**k / factorial(k) for k in range(c)) + offered**c / factorial(c) * c / (c - offered)
    )
    stage = {"service": exponential(10), "servers": c}
    if on_device:
        stage = {"service": exponential(10) | {"device": "d"}, "servers": None}
    result = run(
        sources={"s": poisson(210, 16_000, "a")},
        stages={"a": stage},
        devices={"d": {"servers": c}} if on_device else {},
    )
    assert covers(queued(result, "a"), erlang_c / (3 * 100 - 210))


def test_a_stage_without_room_to_wait_loses_by_erlangs_formula():
    """M/G/c/c: blocking depends on the mean service alone."""
    c, offered = 4, 3.0
    blocked = (offered**c / factorial(c)) / sum(offered**k / factorial(k) for k in range(c + 1))
    service = {"kind": "time", "ms": {"law": "lognormal", "mean": 10, "variation": 1.5}}
    result = run(
        sources={"s": poisson(300, 16_000, "a")},
        stages={"a": {"service": service, "servers": c, "queue": {"capacity": 0}}},
    )
    assert covers([bool(i.lost) for i in result.outcome.items], blocked)
    assert result.summary["items"]["dropped_by"] == {"queue full": sum(bool(i.lost) for i in result.outcome.items)}


def test_priorities_without_preemption():
    """M/G/1 with two classes (Cobham 1954): W0 / ((1 - s_before) (1 - s_upto))."""
    service = {"kind": "time", "ms": {"law": "gamma", "mean": 5, "variation": 1.2}}
    result = run(
        sources={
            "urgent": poisson(60, 12_000, "a", priority=0),
            "other": poisson(80, 16_000, "a", priority=1),
        },
        stages={"a": {"service": service, "queue": {"order": "priority"}}},
    )
    residual = (60 + 80) * 25e-6 * (1 + 1.2**2) / 2
    source = {i.number: i.source for i in result.outcome.items}
    visits = sorted(result.outcome.visits, key=lambda v: v.entered)
    urgent, other = ([v.queued for v in visits if source[v.item] == s] for s in ("urgent", "other"))
    assert covers(urgent, residual / (1 - 0.3))
    assert covers(other, residual / ((1 - 0.3) * (1 - 0.7)))


def test_processor_sharing_does_not_care_about_the_law_of_service():
    """M/G/1-PS: mean sojourn E[S] / (1 - rho), whatever the law."""
    service = {"kind": "time", "ms": {"law": "gamma", "mean": 5, "variation": 1.5}, "device": "d"}
    result = run(
        sources={"s": poisson(120, 16_000, "a")},
        stages={"a": {"service": service, "servers": None}},
        devices={"d": {"sharing": "processor-sharing"}},
    )
    assert covers(sojourns(result, "a"), 5e-3 / (1 - 0.6))


def test_a_closed_loop_is_a_machine_repair_model():
    """N clients that think and one exponential server: the throughput of M/M/1//N."""
    n, think, service = 6, 0.05, 0.01
    weights = [factorial(n) / factorial(n - k) * (service / think) ** k for k in range(n + 1)]
    throughput = (1 - weights[0] / sum(weights)) / service
    result = run(
        sources={
            "s": {
                "arrivals": {"process": "closed", "clients": n, "think_ms": {"law": "exponential", "mean": 50}},
                "items": 16_000,
                "to": "a",
            }
        },
        stages={"a": {"service": exponential(10)}},
    )
    assert result.summary["items"]["throughput_per_s"] == pytest.approx(throughput, rel=0.02)


def test_a_closed_loop_ends_with_its_last_item():
    arrivals = {"process": "closed", "clients": 2, "think_ms": 1000}
    result = run(
        sources={"s": {"arrivals": arrivals, "items": 2, "to": "a"}},
        stages={"a": {"service": constant(10), "servers": 2}},
    )
    assert result.outcome.makespan == pytest.approx(0.01)


def test_littles_law_between_metered_and_recorded_figures():
    """Items present on average, metered over time, against arrivals and sojourns of single items."""
    result = run(sources={"s": poisson(150, 5_000, "a")}, stages={"a": {"service": exponential(10), "servers": 2}})
    present = result.summary["stages"]["a"]["mean_present"]
    assert present == pytest.approx(np.sum(sojourns(result, "a")) / result.outcome.makespan, rel=1e-9)


def test_batches_take_what_one_takes():
    """Full batches of a constant service at overload: b items each service time."""
    result = run(
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 10_000}, "items": 4_000, "to": "a"}},
        stages={"a": {"service": constant(10), "batch": {"size": 8, "timeout_ms": 1}}},
    )
    assert result.summary["items"]["throughput_per_s"] == pytest.approx(800, rel=0.01)
    assert result.summary["stages"]["a"]["mean_batch"] == pytest.approx(8, rel=0.01)


def test_a_small_batch_starts_when_its_time_is_up():
    result = run(
        sources={"s": {"arrivals": {"process": "recorded", "times_s": [0.0, 0.002, 0.5]}, "to": "a"}},
        stages={"a": {"service": constant(1), "batch": {"size": 4, "timeout_ms": 10}}},
    )
    assert [(v.item, v.started, v.batch) for v in result.outcome.visits] == [
        (0, pytest.approx(0.010), 2), (1, pytest.approx(0.010), 2), (2, pytest.approx(0.51), 1),
    ]  # fmt: skip
