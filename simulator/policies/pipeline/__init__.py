"""Pipeline schedules: the order in which each stage runs its passes."""

from simulator.policies.pipeline.interleaved import Interleaved
from simulator.policies.pipeline.one_forward_one_backward import GPipe, OneForwardOneBackward
from simulator.policies.pipeline.schedule import Kind, Pass, Schedule

__all__ = ["GPipe", "Interleaved", "Kind", "OneForwardOneBackward", "Pass", "Schedule"]
