"""Training over long links, with replicas that fail and join."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import InputError
from simulator.hardware.long_fat import LongFatLink
from simulator.specs.training import TrainingScenario
from simulator.specs.validating import validated
from simulator.training import train

SITES: dict[str, Any] = {
    "kind": "training",
    "model": {"layers": 8, "hidden": 1024, "heads": 16, "vocab": 1024},
    "device": "nvidia-gh200-96gb",
    "batch": {"sequence": 512, "global_size": 24},
    "layout": {"data": 4},
}
LINKS = {"kind": "wide-area", "gbit_per_s": 10, "round_trip_ms": 30, "loss": 1e-6}


def figures(churn: dict[str, Any] | None = None, layout: dict[str, int] | None = None, **links: Any) -> dict[str, Any]:
    network = {"topology": LINKS | links, "all_reduce": "ring"} | ({"churn": churn} if churn else {})
    values = SITES | {"network": network} | ({"layout": layout} if layout else {})
    found: dict[str, Any] = train(validated(TrainingScenario, values, "a scenario")).summary["network"]
    return found


@pytest.mark.parametrize("connections", [1, 4, 64])
def test_the_reduction_runs_at_what_the_connections_attain(connections: int) -> None:
    """But for latency, which is small beside the bytes."""
    rate = LongFatLink(10e9 / 8, 0.030, 1e-6).parallel(connections) * 8 / 1e9
    found = figures(connections=connections)["reduction_bus_gbit_per_s"]
    assert 0.7 * rate < found < rate


def test_a_narrow_way_back_slows_no_ring_and_a_narrow_site_does() -> None:
    """A ring uses each pair one way only; all that a site sends passes its own link."""
    fast = [[10.0] * 4 for _ in range(4)]
    narrow = [[10.0 if (b - a) % 4 == 1 else 1.0 for b in range(4)] for a in range(4)]
    plain = figures(gbit_per_s=fast, connections=64)
    assert figures(gbit_per_s=narrow, connections=64)["reduction_s"] == pytest.approx(plain["reduction_s"])
    assert figures(connections=64, site_gbit_per_s=1.0)["reduction_s"] > 2 * plain["reduction_s"]


def test_failures_lose_time_and_peers_and_joining_waits() -> None:
    quiet = figures({"steps": 4})["churn"]
    assert quiet["lost_s"] == quiet["waited_s"] == 0.0
    assert quiet["peers"] == 4
    each = quiet["wall_s"] / 4
    lossy = figures({"steps": 4, "fails": {1: 1.5 * each}})["churn"]
    assert lossy["peers"] == 3
    assert lossy["lost_s"] > 0.0
    assert lossy["attempts"] == 5
    joined = figures({"steps": 4, "joins": {1: 0.5 * each}})["churn"]
    assert joined["peers"] == 4
    assert joined["waited_s"] > 0.0


def test_wandering_links_follow_the_seed() -> None:
    one, again, other = (figures({"spread": 0.3, "seed": s})["churn"]["wall_s"] for s in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize(
    ("churn", "layout", "message"),
    [
        ({"fails": {9: 1.0}}, {"data": 4}, "names replica 9"),
        ({"steps": 2}, {"data": 2, "pipeline": 2}, "whole node"),
        ({"fails": {0: 0.0, 1: 0.0, 2: 0.0}}, {"data": 4}, "two peers"),
        ({"joins": dict.fromkeys(range(4), 0.0)}, {"data": 4}, "nobody is there"),
        ({"spread": 0.1, "seed": -1}, {"data": 4}, "seed"),
        ({"steps": 0}, {"data": 4}, "steps"),
    ],
)
def test_churn_that_cannot_be_is_named(churn: dict[str, Any], layout: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        figures(churn, layout)
