"""Seeded synthetic load: arrival processes, length laws, shared prefixes and sessions, as request sources."""

from simulator.workloads.generators.building import generate
from simulator.workloads.generators.phases import Phased
from simulator.workloads.generators.source import Generated

__all__ = ["Generated", "Phased", "generate"]
