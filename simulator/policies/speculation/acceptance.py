"""How likely a draft token is accepted, and what that makes of one draft.

Position `p` of a request's output is accepted if its own draw lies below the law's rate. A position is examined at
most once: a verification that rejects it gives the right token for it. Drafts are therefore accepted independently,
as Leviathan et al. assume (arXiv:2211.17192, section 3.1), yet the draws do not depend on lengths or on batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from simulator.policies.sequence import Sequence
from simulator.policies.speculation.draws import REQUESTS, PositionDraws, Streams
from simulator.policies.speculation.plan import Draft


class AcceptanceLaw(Protocol):
    """The chance that the target accepts a draft token, given that it accepted those before it."""

    def rate(self, sequence: Sequence, depth: int) -> float:
        """The chance for the token at 1-based `depth` of a draft of this request."""
        ...


class Constant:
    """Every draft token is accepted with chance `rate`."""

    def __init__(self, *, rate: float = 0.7) -> None:
        self._rate = _chance("rate", rate)

    def rate(self, sequence: Sequence, depth: int) -> float:
        return self._rate


class Beta:
    """Each request has its own rate, from a Beta law of this `mean`; the larger `concentration`, the more alike."""

    def __init__(self, *, streams: Streams, mean: float = 0.7, concentration: float = 10.0) -> None:
        if not 0.0 < mean < 1.0:
            raise ValueError(f"mean is {mean}: give a number between 0 and 1")
        if not 0.0 < concentration < float("inf"):
            raise ValueError(f"concentration is {concentration}: give a number above 0")
        a, b = mean * concentration, (1.0 - mean) * concentration
        self._of = lru_cache(REQUESTS)(lambda index: float(streams(f"acceptance rate {index}").beta(a, b)))

    def rate(self, sequence: Sequence, depth: int) -> float:
        return self._of(sequence.index)


class Curve:
    """A rate for each depth of the draft, as calibration runs measure them; the last holds for all deeper ones."""

    def __init__(self, *, rates: list[float]) -> None:
        if not isinstance(rates, list) or not rates:
            raise ValueError(f"rates is {rates!r}: give a list of chances, one for each depth")
        self._rates = [_chance("rates", r) for r in rates]

    def rate(self, sequence: Sequence, depth: int) -> float:
        return self._rates[min(depth, len(self._rates)) - 1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one verified draft: tokens accepted, and positions examined (up to the first rejected one)."""

    accepted: int
    examined: int


def verify(sequence: Sequence, draft: Draft, law: AcceptanceLaw, draws: PositionDraws) -> Outcome:
    """What the target accepts of a draft; positions beyond the wanted output are not examined."""
    numbers, position, parents = draws.of(sequence), sequence.generated, 1
    for depth, width in enumerate(draft.widths, start=1):
        if position >= sequence.output_tokens:
            return Outcome(depth - 1, depth - 1)
        if numbers[position] >= best_path(law.rate(sequence, depth), width / parents):
            return Outcome(depth - 1, depth)
        position, parents = position + 1, width
    return Outcome(draft.depth, draft.depth)


def best_path(rate: float, children: float) -> float:
    """The chance that one of a node's `children` is accepted, each with chance `rate` on its own.

    A fraction of a child is the chance of having one more. SpecInfer (arXiv:2305.09781) verifies a tree so, and
    takes the longest accepted path.
    """
    if children == 1.0:
        return rate
    whole = int(children)
    none, one_more = (1.0 - rate) ** whole, children - whole
    return 1.0 - none * (1.0 - one_more * rate)


def expected_tokens(rate: float, depth: int) -> float:
    """Mean tokens a verification of a chain emits: (1 - a^(k+1)) / (1 - a), arXiv:2211.17192, equation 1."""
    return depth + 1.0 if rate >= 1.0 else (1.0 - rate ** (depth + 1)) / (1.0 - rate)


def _chance(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value!r}: give a chance of 0 to 1")
    return float(value)
