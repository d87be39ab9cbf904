"""Tables of the kinds of training that are no step of a model."""

from __future__ import annotations

from typing import Any

from simulator.report.federated import print_federation
from simulator.report.inference import print_inference
from simulator.report.rounds import print_rounds
from simulator.report.training_plan import print_training_plan
from simulator.specs.part import Part


def print_summary(scenario: Part, summary: dict[str, Any]) -> None:
    """Print the headline figures of a run of this scenario's kind."""
    prints = {
        "rounds": print_rounds,
        "federated": print_federation,
        "training-plan": print_training_plan,
        "inference": print_inference,
    }
    prints[str(getattr(scenario, "kind", ""))](summary)
