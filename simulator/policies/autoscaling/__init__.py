"""Autoscalers: how many replicas a load needs.

An autoscaler is any object with `wanted(fleet) -> int`.
"""

from simulator.policies.autoscaling.rules import Fixed, QueueBased, Scheduled, Utilisation
from simulator.policies.autoscaling.views import Autoscaler, FleetView

__all__ = ["Autoscaler", "Fixed", "FleetView", "QueueBased", "Scheduled", "Utilisation"]
