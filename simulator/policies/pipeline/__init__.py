"""Pipeline schedules: the order in which each stage runs its passes."""

from simulator.policies.pipeline.dual_pipe import DualPipe
from simulator.policies.pipeline.forward_only import ForwardOnly
from simulator.policies.pipeline.interleaved import Interleaved
from simulator.policies.pipeline.one_forward_one_backward import GPipe, OneForwardOneBackward
from simulator.policies.pipeline.schedule import Kind, Pass, Placing, Schedule
from simulator.policies.pipeline.zero_bubble import ZeroBubble
from simulator.policies.pipeline.zero_bubble_v import ZeroBubbleV

__all__ = [
    "DualPipe", "ForwardOnly", "GPipe", "Interleaved", "Kind", "OneForwardOneBackward", "Pass", "Placing", "Schedule",
    "ZeroBubble", "ZeroBubbleV",
]  # fmt: skip
