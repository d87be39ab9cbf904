"""Buckets of parameters that are reduced or gathered together, and how much of each layer's pass lies before each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A `share` of a layer's pass; at its end the bucket of `full` parameters is complete, if any (0: none)."""

    layer: int
    share: float
    full: float


def buckets(parameters: Sequence[float], most: float) -> list[Piece]:
    """Cut layers, in the order in which their passes run, where a bucket of `most` parameters is complete.

    A layer's gradients arrive evenly over its pass. The last bucket is whatever is left. Raises `ValueError` for a
    bucket of no size.
    """
    if most <= 0.0:
        raise ValueError("a bucket holds more than 0 bytes")
    found: list[Piece] = []
    filled = 0.0
    for layer, own in enumerate(parameters):
        left = own
        while own and filled + left >= most:
            part = most - filled
            found.append(Piece(layer, part / own, most))
            left, filled = left - part, 0.0
        if left > 1e-9 * own or not own:
            found.append(Piece(layer, left / own if own else 1.0, 0.0))
            filled += left
    if filled > 0.0:
        last = found.pop()
        found.append(Piece(last.layer, last.share, filled))
    return found
