"""Policies for the adapters of one base model: where they are kept, and which requests they let through."""

from simulator.policies.adapters.memory import AdapterMemory, Pages, Slots
from simulator.policies.adapters.protocol import AdapterPolicy, Form
from simulator.policies.adapters.queue import AdapterQueue, LaneQueue
from simulator.policies.adapters.serving import Merged, Static, Switching, Unified

__all__ = [
    "AdapterMemory",
    "AdapterPolicy",
    "AdapterQueue",
    "Form",
    "LaneQueue",
    "Merged",
    "Pages",
    "Slots",
    "Static",
    "Switching",
    "Unified",
]
