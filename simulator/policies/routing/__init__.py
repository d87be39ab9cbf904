"""Routers: which replica a request goes to. A router is any object with `choose(sequence, replicas) -> int`."""

from simulator.policies.routing.affinity import AdapterAffinity, PrefixAffinity, SessionAffinity
from simulator.policies.routing.classes import PriorityClasses
from simulator.policies.routing.load import (
    KVUtilisation,
    LeastOutstanding,
    PowerOfTwo,
    Random,
    RoundRobin,
    ShortestQueue,
)
from simulator.policies.routing.predicted_cost import PredictedCost
from simulator.policies.routing.views import ReplicaView, Router
from simulator.policies.routing.weighted import Weighted

__all__ = [
    "AdapterAffinity",
    "KVUtilisation",
    "LeastOutstanding",
    "PowerOfTwo",
    "PredictedCost",
    "PrefixAffinity",
    "PriorityClasses",
    "Random",
    "ReplicaView",
    "RoundRobin",
    "Router",
    "SessionAffinity",
    "ShortestQueue",
    "Weighted",
]
