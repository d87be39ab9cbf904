"""Power budgets: energy is conserved, clocks act when they should, and joined steps change nothing."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.policies.power import RowView
from simulator.report.serving import series
from simulator.report.serving.power import row_power
from simulator.report.serving.usage import power
from simulator.scenario import scenario_from
from simulator.workloads.requests import Requests
from tests.builders import Rows, rows

BASE: dict[str, Any] = {
    "model": "Qwen/Qwen2.5-0.5B",
    "device": "nvidia-a100-sxm-80gb",
    "replicas": 2,
    "load": {"trace": "given"},
}


class Timetable:
    """The clocks of a list, one entry a question, over and over; the same for all servers, or one each."""

    def __init__(self, *, clocks: Sequenced[float | Sequenced[float]]) -> None:
        self.clocks_by_turn = clocks
        self.asked = 0

    def clocks(self, row: RowView) -> Sequenced[float]:
        wanted = self.clocks_by_turn[self.asked % len(self.clocks_by_turn)]
        self.asked += 1
        return [wanted] * len(row.servers) if isinstance(wanted, int | float) else wanted


TIMETABLE = f"{__name__}:Timetable"


def served(source: Rows, spec: dict[str, Any], **changes: Any) -> Result:
    return run(scenario_from(BASE | {"power": {"budget_w": 1e6, "brake_clock": None} | spec} | changes), source=source)


def mixed(requests: int = 40, gap: float = 0.05) -> Rows:
    lengths = [200 + 977 * i % 3000 for i in range(requests)]
    return rows([gap * i for i in range(requests)], lengths, [1 + 37 * i % 150 for i in range(requests)])


WHOLE = [
    {},
    {"parallel": {"pipeline": 2}},
    {"disaggregation": {"replicas": 1}},
    {"partition": {"prefill_units": 0.5}},
    {"shared_prefix_tokens": 100},
]


@pytest.mark.parametrize("changes", WHOLE, ids=str)
def test_energy_by_readings_by_the_series_and_by_the_summary_is_one(changes: dict[str, Any]) -> None:
    """Over the whole run; readings end with the last question, so they are held against the series up to there."""
    spec = {"policy": TIMETABLE, "options": {"clocks": [0.9, 0.5, 1.0]}, "every_s": 0.3, "delay_s": 0.1, "host_w": 50}
    result = served(mixed(), spec, **changes)
    figures = result.summary
    edges = series.bin_edges(result)
    binned = (series.total_power(result, edges) * np.diff(edges)).sum()
    assert figures["energy"]["total_j"] == pytest.approx(binned, rel=1e-9)
    hosts = 50 * figures["power"]["servers"] * figures["makespan_s"]
    assert figures["power"]["energy_j"] == pytest.approx(figures["energy"]["total_j"] + hosts, rel=1e-9)
    assert result.power is not None
    log = result.power.log
    times, watts = row_power(result)
    joules = np.concatenate([[0.0], np.cumsum(watts * np.diff(times))])
    assert len(log.watts) > 3
    assert sum(log.watts) * 0.3 == pytest.approx(float(np.interp(log.times[-1], times, joules)), rel=1e-6)


def test_the_highest_power_of_an_interval_lies_between_its_mean_and_the_peak() -> None:
    result = served(mixed(), {"every_s": 0.3})
    edges = series.bin_edges(result, 37)
    highest = series.highest(edges, *row_power(result))
    assert np.all(highest >= series.total_power(result, edges) - 1e-6)
    assert highest.max() == pytest.approx(result.summary["power"]["peak_w"])


def test_idle_and_busy_seconds_make_up_the_run() -> None:
    """A server that serves nothing draws its idle power throughout, and one that does so between its iterations."""
    result = served(rows([0.0, 9.0], [500, 500], [20, 20]), {"every_s": 1.0, "host_w": 30}, replicas=1)
    device, end = result.deployment.device, float(result.request_columns["finish_s"].max())
    busy = result.iteration_columns["end_s"] - result.iteration_columns["start_s"]
    active = float((power(result.iteration_columns, result.deployment) * busy).sum())
    idle = (end - float(busy.sum())) * device.idle_power
    assert result.summary["power"]["energy_j"] == pytest.approx(active + idle + 30 * end)
    assert result.power is not None
    assert result.power.log.watts[3:8] == [device.idle_power + 30] * 5
    alone = served(rows([0.0], [500], [200]), {"every_s": 0.1}, replicas=2).summary
    one = served(rows([0.0], [500], [200]), {"every_s": 0.1}, replicas=1).summary
    extra = alone["power"]["energy_j"] - one["power"]["energy_j"]
    assert extra == pytest.approx(device.idle_power * one["makespan_s"])


def outcome(result: Result) -> tuple[bytes, ...]:
    assert result.power is not None
    log = result.power.log
    changes = [np.asarray(part) for pair in log.clocks.values() for part in pair]
    columns = [*result.request_columns.values(), np.asarray(log.watts), np.asarray(log.brakes), *changes]
    return tuple(column.tobytes() for column in columns)


CLOCK = st.sampled_from([0.2, 0.5, 0.787, 0.9, 1.0])


@settings(max_examples=25, deadline=None)
@given(
    clocks=st.lists(st.tuples(CLOCK, CLOCK), min_size=1, max_size=6),
    every=st.floats(0.02, 1.0),
    delay=st.sampled_from([0.0, 0.013, 0.7]),
    budget=st.sampled_from([250.0, 400.0, 1e6]),
    brake=st.sampled_from([None, 0.2]),
    gap=st.sampled_from([0.0, 0.01, 0.1]),
    blocks=st.sampled_from([None, 400]),
)
def test_joined_steps_change_neither_times_nor_readings(
    clocks: list[tuple[float, float]],
    every: float,
    delay: float,
    budget: float,
    brake: float | None,
    gap: float,
    blocks: int | None,
) -> None:
    spec = {
        "policy": TIMETABLE, "options": {"clocks": clocks}, "every_s": every, "delay_s": delay,
        "brake_delay_s": 0.05, "budget_w": budget, "brake_clock": brake,
    }  # fmt: skip
    fast, slow = (
        served(mixed(20, gap), spec, fast_forward=joined, kv_cache={"blocks": blocks}) for joined in (True, False)
    )
    assert outcome(fast) == outcome(slow)
    assert len(fast.request_columns["index"]) == 20


def test_a_clock_holds_for_the_iterations_that_begin_after_it() -> None:
    """A decode run is cut at the step in progress; afterwards every step takes as long as at that clock throughout."""
    source = rows([0.0], [64], [400])
    spec = {"policy": TIMETABLE, "every_s": 0.1, "delay_s": 0.25}
    full = served(source, spec | {"options": {"clocks": [1.0]}}, replicas=1)
    late = served(source, spec | {"options": {"clocks": [0.2]}}, replicas=1)
    rows_ = late.iteration_columns
    slowed = rows_["clock"] < 1.0
    assert rows_["start_s"][slowed].min() >= 0.35
    assert rows_["start_s"][~slowed].max() < 0.35
    assert np.all(rows_["clock"][slowed] == 0.2)
    gap = {name: float(r.request_columns["finish_s"][0]) for name, r in (("full", full), ("late", late))}
    assert gap["late"] > gap["full"] + 0.01


def test_prompts_slow_down_with_the_clock_and_decoding_hardly() -> None:
    """A batch of one decodes from memory, and 8,192 tokens of prompt are arithmetic."""
    spec = {"policy": TIMETABLE, "options": {"clocks": [0.787]}, "every_s": 1e-3, "delay_s": 0.0}
    load = rows([0.01 + 2.0 * i for i in range(4)], [8192] * 4, [200] * 4)
    model = {"model": "meta-llama/Llama-3-8B", "replicas": 1}
    full, capped = (served(load, s, **model).summary["latency_ms"] for s in ({}, spec))
    assert 1.15 < capped["ttft"]["mean"] / full["ttft"]["mean"] < 1 / 0.787
    assert 1.0 < capped["tpot"]["mean"] / full["tpot"]["mean"] < 1.08


def test_a_brake_is_pulled_above_the_budget_and_held_until_caps_could_be_in_force() -> None:
    source = Rows(Requests(np.arange(200) * 0.02, np.full(200, 3000), np.full(200, 10)))
    spec = {"budget_w": 350, "brake_clock": 0.2, "brake_delay_s": 0.5, "delay_s": 2.0, "every_s": 0.25}
    result = served(source, spec)
    assert result.power is not None
    log, figures = result.power.log, result.summary["power"]
    over = next(t for t, watts in zip(log.times, log.watts, strict=True) if watts > 350)
    assert log.brakes[0][0] == over + 0.5
    assert log.brakes[0][1] >= log.brakes[0][0] + 2.0
    assert figures["brakes"] == len(log.brakes)
    braked = [w for t, w in zip(log.times, log.watts, strict=True) if log.brakes[0][0] + 1 < t < log.brakes[0][1]]
    assert max(braked) < 350
    assert figures["highest_reading_w"] <= figures["peak_w"]
    assert 0 < figures["seconds_over_budget"] < result.summary["makespan_s"]


def test_low_priority_pays_for_the_budget() -> None:
    source = Rows(Requests(np.arange(300) * 0.05, np.full(300, 3000), np.full(300, 100)))
    spec = {"budget_w": 620, "policy": "polca", "low_priority": 0.5, "delay_s": 1.0, "every_s": 0.25}
    free = served(source, spec | {"policy": "none"}, replicas=4)
    capped = served(source, spec, replicas=4)
    low, high = capped.summary["power"]["low_priority"], capped.summary["power"]["high_priority"]
    assert low["servers"] == high["servers"] == 2
    assert low["capped_server_s"] > high["capped_server_s"]
    assert low["e2e_p50_ms"] > high["e2e_p50_ms"]
    assert capped.summary["power"]["mean_w"] < free.summary["power"]["mean_w"]
    assert free.summary["power"]["low_priority"]["capped_server_s"] == 0


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        ({"server_w": 600, "budget_w": 1000}, {}, "enough for 1: use fewer"),
        ({"low_priority": [0, 2]}, {}, "server 2 is not among the 2"),
        ({"low_priority": 1.5}, {}, "low_priority"),
        ({"policy": TIMETABLE, "options": {"clocks": [[0.5]]}, "every_s": 0.1}, {}, "each of the 2 servers"),
        ({"policy": TIMETABLE, "options": {"clocks": [0.0]}, "every_s": 0.1}, {}, "above 0"),
        ({}, {"autoscaling": {"policy": "queue-based", "options": {"target": 4}, "max_replicas": 4}}, "autoscaling"),
        ({}, {"speculation": {"policy": "fixed", "options": {"tokens": 3}}}, "speculation"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(spec: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        served(mixed(10), spec, **changes)
