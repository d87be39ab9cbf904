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


@dataclass(frozen=True, slots=True)
class Cut:
    """A `share` of a layer's pass; at its end buckets of these numbers of parameters are complete, if any (0: none).

    Those of experts are `routed`.
    """

    layer: int
    share: float
    full: float
    routed: float


def cut_together(common: Sequence[Piece], routed: Sequence[Piece]) -> list[Cut]:
    """Cut layers where a bucket of either kind is complete."""
    if not any(piece.full for piece in routed):
        return [Cut(p.layer, p.share, p.full, 0.0) for p in common]
    full: dict[tuple[int, float], list[float]] = {}
    for kind, pieces in enumerate((common, routed)):
        place = (-1, 0.0)
        for piece in pieces:
            place = (piece.layer, piece.share + (place[1] if place[0] == piece.layer else 0.0))
            near = next((p for p in full if p[0] == place[0] and abs(p[1] - place[1]) < 1e-9), place)
            full.setdefault(near, [0.0, 0.0])[kind] += piece.full
    found: list[Cut] = []
    before = (-1, 0.0)
    for layer, end in sorted(full):
        start = before[1] if before[0] == layer else 0.0
        found.append(Cut(layer, end - start, *full[layer, end]))
        before = (layer, end)
    return found
