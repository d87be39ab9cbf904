"""Admission control: whether a request is taken in, or shed before it costs anything.

An admission policy is any object with `admits(sequence, replica, now) -> bool`.
"""

from simulator.policies.admission.limits import All, PredictedWait, QueueLimit, TokenBucket
from simulator.policies.admission.protocol import Admission

__all__ = ["Admission", "All", "PredictedWait", "QueueLimit", "TokenBucket"]
