"""Which adapter of the model each generated request asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.popularity import popularity

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Adapters:
    """Requests for `count` adapters, `base_share` of them for the base model (-1) instead.

    Adapter i is asked for with a weight of (i + 1) to the power -`zipf`. With `power` a, as in the load generator of
    S-LoRA (arXiv:2311.03285, section 7.1), its number is `count` times a variable of density a x^(a - 1) on [0, 1),
    rounded down: equally likely for 1, and the lower a is the more fall on the first adapters. The turns of a session
    ask for the adapter of its first.
    """

    count: int
    zipf: float = 0.0
    power: float | None = None
    base_share: float = 0.0

    @cached_property
    def shares(self) -> Floats:
        """Expected shares (count,) of the requests that ask for an adapter."""
        if self.power is None:
            return popularity(self.count, self.zipf)
        return np.diff((np.arange(self.count + 1) / self.count) ** self.power)

    def asked(self, uniform: Floats) -> Ints:
        """The adapters that numbers drawn evenly from [0, 1) ask for, of the same shape."""
        among = np.clip((uniform - self.base_share) / max(1.0 - self.base_share, 1e-300), 0.0, 1.0)
        found = np.searchsorted(np.cumsum(self.shares), among, side="right")
        return np.where(uniform < self.base_share, -1, np.minimum(found, self.count - 1)).astype(np.int64)


class AdapterDraws:
    """Draws the adapters of request after request, the same ones however many are asked for at once."""

    def __init__(self, adapters: Adapters, rng: np.random.Generator) -> None:
        self._adapters = adapters
        self._rng = rng
        self._by_session: Floats = np.empty(0)

    def next(self, requests: int, session: Ints | None) -> Ints:
        """Adapters of the next `requests` requests, shape (requests,); `session` numbers theirs from 0, if any."""
        if session is None:
            return self._adapters.asked(self._rng.random(requests))
        begun = int(session.max()) + 1 - len(self._by_session)
        if begun > 0:
            self._by_session = np.concatenate([self._by_session, self._rng.random(begun)])
        return self._adapters.asked(self._by_session[session])
