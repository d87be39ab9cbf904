"""Confidence intervals of differences between two runs on the same requests, by sectioning.

Successive requests wait in the same queue, so they are not independent, and the usual interval of n pairs would be
far too narrow. The pairs are cut into sections of successive requests, long enough to be nearly independent of each
other; the spread of the sections' own differences around the whole's gives the interval. For a mean these are the
batch means of Schmeiser, "Batch size effects in the analysis of simulation output", Operations Research 30(3), 1982,
who finds 10 to 30 of them enough; for a percentile it is sectioning after Asmussen and Glynn, "Stochastic
Simulation", 2007, section III.5a, which is centred on the estimate from all pairs. Where sections still follow each
other, the interval is widened by their correlation, as Skart does (Tafazzoli et al., INFORMS Journal on Computing
23(2), 2011). Nothing is drawn at random.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from scipy.stats import t

from simulator.comparison.metrics import statistic
from simulator.engine.recorder import Floats
from simulator.uncertainty import LEVEL

Interval = tuple[float, float]
SECTIONS = 20
# A section's mean needs some pairs, and its percentile some pairs beyond it, to mean anything.
FEWEST_PAIRS = 10
FEWEST_BEYOND = 2
# Beyond it, so few sections cannot say how much wider the interval is.
MOST_CORRELATION = 0.8


def sections(pairs: int, name: str) -> int:
    """How many sections so many pairs are cut into for a statistic; fewer than two allow no interval."""
    most = pairs // FEWEST_PAIRS
    if name != "mean":
        share = float(name[1:]) / 100
        most = min(most, int(pairs * min(share, 1 - share) / FEWEST_BEYOND + 1e-9))
    return min(SECTIONS, most)


def interval(base: Floats, other: Floats, name: str, level: float = LEVEL) -> Interval | None:
    """The interval of `statistic(other) - statistic(base)` for paired values (shape (pairs,)) in order of arrival.

    None where there are too few pairs for two sections.
    """
    count = sections(len(base), name)
    if count < 2:
        return None
    whole = statistic(other, name) - statistic(base, name)
    bounds = [len(base) * i // count for i in range(count + 1)]
    parts = np.array([statistic(other[i:j], name) - statistic(base[i:j], name) for i, j in pairwise(bounds)])
    variance = float(((parts - whole) ** 2).sum()) / (count - 1) / count
    half = float(t.ppf((1 + level) / 2, count - 1)) * math.sqrt(variance * _inflation(parts))
    return whole - half, whole + half


def _inflation(parts: Floats) -> float:
    """By how much the variance of a mean of successive parts exceeds that of independent ones, never below 1.

    Parts are taken as first-order autoregressive; their estimated correlation is 1/parts too low where there is none.
    """
    centred = parts - parts.mean()
    squares = float((centred**2).sum())
    if squares == 0.0:
        return 1.0
    correlation = float((centred[1:] * centred[:-1]).sum()) / squares + 1 / len(parts)
    correlation = min(max(correlation, 0.0), MOST_CORRELATION)
    return (1 + correlation) / (1 - correlation)
