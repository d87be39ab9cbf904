"""What the published files on networks say beyond their ratio."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.published import SCENARIOS, load_published, sides
from simulator.specs.training import TrainingScenario
from simulator.specs.validating import validated
from simulator.training import train


def side(name: str, which: int, **changes: Any) -> dict[str, Any]:
    """The summary of one side, the baseline first."""
    found = sides(load_published(SCENARIOS / "training" / f"{name}.yaml"))[which]
    assert isinstance(found, TrainingScenario)
    return train(validated(TrainingScenario, found.model_dump(exclude_unset=True) | changes, "a side")).summary


def test_single_paths_with_splitting_take_as_long_as_spraying() -> None:
    """The claim of arXiv:2407.00550, and both the ideal time of rings on links of their own."""
    split = side("packet-spraying-vs-ecmp", 1)["network"]
    topology = {"kind": "leaf-spine", "devices_per_leaf": 16, "spines": 16}
    sprayed = side("packet-spraying-vs-ecmp", 1, network={"topology": topology})["network"]
    assert sprayed["routing"] == "Spraying"
    assert split["reduction_s"] == pytest.approx(sprayed["reduction_s"])
    assert split["reduction_s"] == pytest.approx(split["reduction_alone_s"])


@pytest.mark.parametrize(
    ("layers", "hidden", "heads", "layout", "micro", "batch", "reported"),
    [
        (48, 6144, 48, {"tensor": 2, "pipeline": 4}, 2, 128, 0.3838),
        (96, 12288, 96, {"tensor": 4, "pipeline": 16, "data": 16}, 1, 10240, 0.3614),
        (128, 25600, 128, {"tensor": 8, "pipeline": 64, "data": 6}, 1, 9600, 0.3196),
    ],
    ids=["22b", "175b", "1t"],
)
def test_shares_of_peak_on_frontier(
    layers: int, hidden: int, heads: int, layout: dict[str, int], micro: int, batch: int, reported: float
) -> None:
    """Of arXiv:2312.12705, without a calibration of the device."""
    found = side(
        "frontier-llm", 1, model={"layers": layers, "hidden": hidden, "heads": heads}, layout=layout | {"zero": 1},
        batch={"sequence": 2048, "micro": micro, "global_size": batch},
    )  # fmt: skip
    assert found["mfu"] == pytest.approx(reported, rel=0.15)


def test_wide_area_rings_reach_what_the_report_measured() -> None:
    """45 Gbit/s across western Europe (arXiv:2505.14065), and peers are lost and not the run."""
    found = side("pccl", 1)["network"]
    assert found["reduction_bus_gbit_per_s"] == pytest.approx(45.0, rel=0.1)
    assert found["churn"]["peers"] == 5
    assert found["churn"]["lost_s"] > 0
