"""What a plan knows of a request, and the calls that it makes of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Query:
    """A request as a plan sees it; `difficulty` is from 0 to 1, and the document is not among the prompt's tokens."""

    index: int
    prompt_tokens: int
    output_tokens: int
    document_tokens: int = 0
    difficulty: float = 0.0
    tenant: int = 0

    @property
    def whole_tokens(self) -> int:
        """Tokens of the prompt with the document."""
        return self.prompt_tokens + self.document_tokens


@dataclass(frozen=True, slots=True)
class Call:
    """One sequence that a pool computes for a request.

    `role` says what for: what "answer" calls write answers the request, the rest helps. An answer is `shown` as it is
    written, unless something has to look at it first. A prompt `repeats` the request's own at its start, or begins
    with `shared` (identity, tokens), which calls of equal identity have in common: prefix caches find either again.
    """

    pool: str
    prompt_tokens: int
    output_tokens: int
    role: str = "answer"
    shown: bool = True
    repeats: bool = False
    shared: tuple[Hashable, int] | None = None


class Plan(Protocol):
    """Decides the calls of each request from what is known of it; it knows no time."""

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that it may call."""
        ...

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """Rounds of calls made at once, at least one; the next begins when all answers of the one before are back.

        `rng` is the request's own. The request is answered by the last round of calls whose role is "answer".
        """
        ...


def at_least(least: int, counts: Mapping[str, int]) -> None:
    """Raise `ValueError` naming the first of `counts` that is below `least`."""
    for name, value in counts.items():
        if value < least:
            raise ValueError(f"{name} is {value}, which must be {least} or more")


def chosen(given: str | None, pools: tuple[str, ...], place: int, what: str) -> str:
    """The pool of this name, or the one at `place` if none is given. Raises `ValueError` if there is none."""
    if given is not None:
        return given
    if place >= len(pools):
        raise ValueError(f"{what} is not given and there are only {len(pools)} pools: name one")
    return pools[place]
