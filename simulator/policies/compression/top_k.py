"""Deep Gradient Compression: only the largest gradients are sent, the rest add up until they are large."""

from __future__ import annotations

from simulator.policies.compression.protocol import Gradient, Reduction
from simulator.policies.compression.streams import INDEX, scattered, stream
from simulator.workloads.operators import Collective

VALUE = 4.0


class DeepGradientCompression:
    """Top-k of locally accumulated gradients with momentum correction (Lin et al., arXiv:1712.01887).

    `ratio` of the gradients are sent as values and places, gathered from all (places differ from device to device).
    The threshold comes from `sample` of the gradients (section 3.1's hierarchical selection). Velocity and
    accumulated gradients are kept in fp32. `warm_up` is the share of steps with all gradients.
    """

    name = "deep-gradient-compression"
    state = 8.0

    def __init__(self, ratio: float = 0.001, sample: float = 0.01, warm_up: float = 0.0) -> None:
        if not 0.0 < ratio <= 1.0 or not 0.0 < sample <= 1.0 or not 0.0 <= warm_up <= 1.0:
            raise ValueError("ratio and sample are shares above 0 and up to 1, warm_up one from 0 to 1")
        self.ratio, self.sample, self.warm_up = ratio, sample, warm_up

    def reduction(self, gradient: Gradient, world: int, stride: int) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        n, sent = gradient.elements, gradient.elements * self.ratio
        before = (
            stream(n, gradient.bytes_each + 8.0, 8.0, 4.0),  # momentum correction and accumulation
            scattered(n * self.sample),
            stream(n * self.sample * 3.0, 4.0, 4.0, 8.0),  # the sample's own top-k: passes of a radix selection
            stream(n, 4.0, 0.0, 1.0),  # what exceeds the threshold
            stream(sent, 4.0, VALUE + INDEX, 1.0),
            scattered(2.0 * sent),  # velocity and accumulation cleared where they were sent
        )
        gathered = Collective("all_gather", world * sent * (VALUE + INDEX), world, stride)
        return Reduction(before, (gathered,), (stream(n, 0.0, 4.0, 0.0), scattered(world * sent)))
