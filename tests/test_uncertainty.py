"""Intervals of a run's figures."""

from __future__ import annotations

import pytest

from simulator.assembly.pools import deployment_of
from simulator.errors import InputError
from simulator.experiment import run
from simulator.scenario import Scenario, scenario_from
from simulator.uncertainty import UNMEASURED, intervals, spreads


def scenario(device: str = "nvidia-h100-sxm-80gb") -> Scenario:
    return scenario_from(
        {
            "model": "meta-llama/Llama-3.1-8B",
            "device": device,
            "load": {
                "generator": {
                    "arrivals": {"process": "poisson", "rate": 5.0},
                    "prompt_tokens": 500,
                    "output_tokens": 20,
                    "requests": 40,
                }
            },
        }
    )


def test_intervals_hold_the_figure_itself_and_repeat() -> None:
    once = intervals(scenario(), 12)
    assert once == intervals(scenario(), 12)
    assert once["level"] == 0.9
    low, high = once["latency_ms"]["tpot"]["mean"]
    assert low < run(scenario()).summary["latency_ms"]["tpot"]["mean"] < high
    assert low < high < 2 * low


def test_unmeasured_devices_are_less_certain() -> None:
    known, lent = (spreads(deployment_of(scenario(n))) for n in ("nvidia-h100-sxm-80gb", "nvidia-l4-24gb"))
    assert known["gemm"] < 0.15
    assert lent["gemm"] == UNMEASURED


def test_slower_kernels_take_proportionally_longer() -> None:
    plain, slow = (run(scenario(), factors=f).summary["latency_ms"]["tpot"]["mean"] for f in ({}, {"gemm": 2.0}))
    assert 1.3 * plain < slow < 2.0 * plain


@pytest.mark.parametrize("count", [1, 100_000])
def test_too_few_or_too_many_replications(count: int) -> None:
    with pytest.raises(InputError, match="give 2 to"):
        intervals(scenario(), count)
