"""What one worker is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Worker:
    """Steps begun, and versions of the weights: those it has, computes with, is getting, and pushed a gradient of.

    `exchanging` lasts from a push to the arrival of weights, `ready` says that it has a gradient to push, and `stopped`
    since when it does not compute.
    """

    begun: int = 0
    has: int = 0
    computes_with: int = 0
    getting: int = 0
    pushed_of: int = 0
    exchanging: bool = False
    ready: bool = False
    stopped: float | None = 0.0
