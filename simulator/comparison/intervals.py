"""Confidence intervals of differences between two runs on the same requests, by sectioning.

Successive requests wait in the same queue, so they are not independent, and the usual interval of n pairs would be
far too narrow. The pairs are cut into sections of successive requests, long enough to be nearly independent of each
other; the spread of the sections' own differences around the whole's gives the interval. For a mean these are the
batch means of Schmeiser, "Batch size effects in the analysis of simulation output", Operations Research 30(3), 1982,
who finds 10 to 30 of them enough; for a percentile it is sectioning after Asmussen and Glynn, "Stochastic
Simulation", 2007, section III.5a, which is centred on the estimate from all pairs. Nothing is drawn at random.
"""

from __future__ import annotations

from itertools import pairwise

from scipy.stats import t

from simulator.comparison.metrics import statistic
from simulator.engine.recorder import Floats
from simulator.uncertainty import LEVEL

Interval = tuple[float, float]
SECTIONS = 20
# A section's mean needs some pairs, and its percentile some pairs beyond it, to mean anything.
FEWEST_PAIRS = 10
FEWEST_BEYOND = 2


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
    squares = 0.0
    for start, end in pairwise(bounds):
        part = statistic(other[start:end], name) - statistic(base[start:end], name)
        squares += (part - whole) ** 2
    half = float(t.ppf((1 + level) / 2, count - 1)) * (squares / (count - 1) / count) ** 0.5
    return whole - half, whole + half
