"""What saving the state of a run takes and when it is worth it: Young's and Daly's intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, sqrt


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Times of checkpoints in seconds: training between two, the pause of one, and from its end until it is stored.

    A synchronous checkpoint pauses until it is stored (`store` 0); an asynchronous one pauses for a snapshot to host
    memory and is stored in the background. A snapshot waits until the one before is stored.
    """

    interval: float
    pause: float
    store: float = 0.0


def young_interval(pause: float, mtbf: float) -> float:
    """Seconds of training between checkpoints that lose least, to first order (Young, CACM 17(9), 1974)."""
    return sqrt(2.0 * pause * mtbf)


def daly_interval(pause: float, mtbf: float) -> float:
    """As `young_interval` to a higher order (Daly, Future Generation Computer Systems 22(3), 2006, eq. 37)."""
    if pause >= 2.0 * mtbf:
        return mtbf
    if not pause:
        return 0.0
    share = pause / (2.0 * mtbf)
    return young_interval(pause, mtbf) * (1.0 + sqrt(share) / 3.0 + share / 9.0) - pause


def expected_goodput(checkpoints: Checkpoints, mtbf: float, down: float) -> float:
    """Share of time that stays as progress with synchronous checkpoints (Daly 2006, eq. 20).

    Failures are exponential with mean `mtbf` seconds, strike in checkpoints and restarts too, and each costs `down`
    seconds, which begin anew where another strikes.
    """
    if mtbf == inf:
        return checkpoints.interval / (checkpoints.interval + checkpoints.pause)
    segment = (checkpoints.interval + checkpoints.pause) / mtbf
    return checkpoints.interval / (mtbf * exp(down / mtbf) * (exp(segment) - 1.0))
