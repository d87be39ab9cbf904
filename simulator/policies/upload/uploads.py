"""What a client does to its update before it sends it."""

from __future__ import annotations

from math import ceil, log, log2, pow
from typing import Protocol


class Upload(Protocol):
    """How many bits an update of so many parameters takes on its way, and what it costs to compute them."""

    def bits(self, parameters: int) -> float:
        """Bits that are sent."""
        ...

    def flops(self, parameters: int) -> float:
        """Operations of the client."""
        ...


class Dense:
    """Every parameter in `bits` bits."""

    def __init__(self, bits: float = 32.0) -> None:
        if bits <= 0:
            raise ValueError(f"bits is {bits}, and has to be above 0")
        self._bits = bits

    def bits(self, parameters: int) -> float:
        return self._bits * parameters

    def flops(self, parameters: int) -> float:
        return 0.0


class FedZip:
    """The largest `keep` of an update, moved to the means of `clusters`, positions and clusters coded.

    Top-z sparsification, clustering and coding (Malekijoo et al., arXiv:2102.01593). Gaps between kept positions are
    coded in Golomb's code, the best for their geometric lengths, clusters in as many bits as tell them apart, and the
    means in 32 bits each. Selecting takes about ten operations a parameter, clustering `rounds` rounds of three
    operations for each kept parameter and cluster.
    """

    def __init__(self, keep: float = 0.01, clusters: int = 3, rounds: int = 20) -> None:
        if not 0 < keep < 1 or clusters < 1 or rounds < 1:
            raise ValueError("keep has to be between 0 and 1, clusters and rounds at least 1")
        self.keep, self.clusters, self.rounds = keep, clusters, rounds

    def bits(self, parameters: int) -> float:
        kept = self.keep * parameters
        return kept * (golomb_bits(self.keep) + _code_bits(self.clusters)) + 32.0 * self.clusters

    def flops(self, parameters: int) -> float:
        return 10.0 * parameters + 3.0 * self.keep * parameters * self.clusters * self.rounds


def golomb_bits(share: float) -> float:
    """Mean bits of a gap between positions of which each is taken with probability `share`.

    Golomb's code with the parameter of Gallager and van Voorhis (IEEE Trans. Information Theory 21(2), 1975).
    """
    missing = 1.0 - share
    group = max(1, ceil(-log(1.0 + missing) / log(missing)))
    unary = 1.0 / (1.0 - pow(missing, group))
    if group == 1:
        return unary
    whole = ceil(log2(group))
    short = float((1 << whole) - group)
    return unary + whole - (1.0 - pow(missing, short)) / (1.0 - pow(missing, group))


def _code_bits(clusters: int) -> float:
    """Mean bits of one of so many equally frequent words in the best prefix code."""
    if clusters == 1:
        return 0.0
    whole = ceil(log2(clusters))
    return whole - ((1 << whole) - clusters) / clusters
