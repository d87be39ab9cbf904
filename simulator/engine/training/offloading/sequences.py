"""Activations of long sequences that wait in host memory from forward to backward pass, beside mixed lengths."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.policies.offload.selective import SequenceOffload


@dataclass(frozen=True, slots=True)
class Leaving:
    """How activations leave a device: bytes a second each way, its bytes of the host, and the policy that chooses."""

    policy: SequenceOffload
    rate: float
    host_memory: float

    def share(self, saved: float, computing: float) -> float:
        """The most of `saved` bytes that may leave beside a forward pass of so many seconds."""
        return min(self.policy.share(saved / self.rate, computing), self.host_memory / saved, 1.0)

    def on_the_way(self, layers: int) -> float:
        """Share of the activations of so many layers that is on the device while the rest leaves or comes back."""
        return min(1.0, self.policy.buffers / layers)

    def needed(self, saved: float, working: float, room: float, layers: int) -> float:
        """Bytes that leave so that the rest, what is on its way and `working` bytes fit into `room`."""
        return max(0.0, saved * (1.0 + self.on_the_way(layers)) + working - room)
