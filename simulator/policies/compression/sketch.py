"""Count sketches: every gradient is added to a few random cells, which can be summed over the replicas."""

from __future__ import annotations

from simulator.policies.compression.protocol import Gradient, Reduction
from simulator.policies.compression.streams import INDEX, scattered, stream
from simulator.workloads.operators import Collective

VALUE = 4.0


class CountSketch:
    """Sketched SGD (Ivkin et al., arXiv:1903.04488, algorithm 2).

    `rows` hash functions map all gradients to `columns` of their number of cells each. Sketches are linear, so that
    they are all-reduced; from the sum everybody finds the same `ratio` of largest gradients (twice over, to be sure),
    whose exact values are then all-reduced. The rest adds up in fp32.
    """

    name = "sketch"
    warm_up = 0.0
    state = 8.0

    def __init__(self, rows: int = 5, columns: float = 0.002, ratio: float = 0.001) -> None:
        if rows < 1 or not 0.0 < columns <= 1.0 or not 0.0 < ratio <= 1.0:
            raise ValueError("rows is 1 at least, columns and ratio are shares above 0 and up to 1")
        self.rows, self.columns, self.ratio = rows, columns, ratio

    def reduction(self, gradient: Gradient, world: int, stride: int) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        n, cells, sent = gradient.elements, self.rows * self.columns * gradient.elements, self.ratio * gradient.elements
        before = (
            stream(n, gradient.bytes_each + 8.0, 8.0, 4.0),  # momentum and accumulation
            stream(n, 4.0, 0.0, 8.0 * self.rows),  # hashes; cells stay in the cache
            stream(n, 0.0, 4.0, 8.0 * self.rows),  # estimates: the median of each one's cells
            stream(3.0 * n, 4.0, 0.0, 2.0),  # passes of a radix selection
            scattered(2.0 * sent),
        )
        links = (
            Collective("all_reduce", cells * VALUE, world, stride),
            Collective("all_reduce", 2.0 * sent * VALUE, world, stride),
        )
        after = (stream(n, 0.0, 4.0, 0.0), scattered(sent), stream(sent, INDEX + VALUE, VALUE))
        return Reduction(before, links, after)
