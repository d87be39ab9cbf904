"""Pipeline schedules: the order in which each stage runs its passes."""

from simulator.policies.pipeline.interleaved import Interleaved
from simulator.policies.pipeline.one_forward_one_backward import GPipe, OneForwardOneBackward
from simulator.policies.pipeline.schedule import Kind, Pass, Schedule
from simulator.policies.pipeline.zero_bubble import ZeroBubble

__all__ = ["GPipe", "Interleaved", "Kind", "OneForwardOneBackward", "Pass", "Schedule", "ZeroBubble"]
