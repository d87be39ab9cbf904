"""Data-parallel training over sites: gradients are reduced in every step."""

from __future__ import annotations

from simulator.policies.synchronisation.exchange import BACKWARD, Exchange, above_zero


class EveryStep:
    """Gradients go in `bits` bits each, in the backward pass already if `overlapped`, and all wait for them."""

    period = 1

    def __init__(self, bits: float = 32.0, overlapped: bool = True) -> None:
        self.bits = above_zero("bits", bits)
        self.overlapped = overlapped

    def exchanges(self) -> tuple[Exchange, ...]:
        return (Exchange(1.0 - BACKWARD if self.overlapped else 1.0, 1.0, 1.0, self.bits, False),)
