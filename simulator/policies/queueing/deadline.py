"""Earliest deadline first."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from math import inf
from typing import Protocol

from simulator.policies.queueing.discipline import Key
from simulator.policies.sequence import Sequence


class Objectives(Protocol):
    """Latency objectives in milliseconds, None where there is none."""

    @property
    def ttft_ms(self) -> float | None: ...

    @property
    def tpot_ms(self) -> float | None: ...


class EarliestDeadlineFirst:
    """Admit the sequence whose next token is due first.

    The first token is due `ttft_ms` after arrival, each later one `tpot_ms` after the one before; None takes the
    scenario's objective, and without one a TTFT of 1 s and a TPOT of 0. With `prompt_tokens_per_s`, what counts is
    the latest start: the deadline less the time that the prompt takes at this rate (least slack first). With
    `late_last`, sequences that can no longer meet it wait behind all others, which keeps an overload from making
    every sequence late.

    Liu and Layland, 1973, section 7; least slack after Mok, 1983; late ones last as in the overload rule of
    Haritsa et al., "Earliest deadline scheduling for real-time database systems", RTSS 1991.
    """

    def __init__(
        self,
        *,
        ttft_ms: float | None = None,
        tpot_ms: float | None = None,
        prompt_tokens_per_s: float | None = None,
        late_last: bool = False,
        objectives: Objectives | None = None,
    ) -> None:
        given = (objectives.ttft_ms, objectives.tpot_ms) if objectives is not None else (None, None)
        ttft, tpot = (own if own is not None else other for own, other in zip((ttft_ms, tpot_ms), given, strict=True))
        self._ttft = (1000.0 if ttft is None else ttft) / 1e3
        self._tpot = (tpot or 0.0) / 1e3
        if self._ttft < 0 or self._tpot < 0 or (prompt_tokens_per_s is not None and prompt_tokens_per_s <= 0):
            raise ValueError("ttft_ms and tpot_ms must be 0 or more, and prompt_tokens_per_s above 0")
        self._rate = prompt_tokens_per_s or inf
        self._late_last = late_last
        self._starts: list[tuple[float, int, int, Sequence]] = []

    def key(self, sequence: Sequence, now: float) -> Key:
        """When it must start at the latest, behind all in time if that is over."""
        start = self.latest_start(sequence)
        return (self._late_last and start <= now, start)

    def latest_start(self, sequence: Sequence) -> float:
        """When the next token is due, less what its prompt takes; seconds."""
        due = sequence.arrival + self._ttft + self._tpot * sequence.generated
        return due - sequence.target / self._rate

    def queued(self, sequence: Sequence, now: float) -> None:
        """Remember when it turns late."""
        start = self.latest_start(sequence)
        if self._late_last and start > now:
            heappush(self._starts, (start, sequence.index, sequence.preemptions, sequence))

    def taken(self, sequence: Sequence) -> None:
        """Its deadline is forgotten when it comes."""

    def next_change(self) -> float:
        """When the next one turns late."""
        return self._starts[0][0] if self._starts else inf

    def changed(self, now: float) -> Iterable[Sequence]:
        """Those that have turned late."""
        late: list[Sequence] = []
        while self.next_change() <= now:
            late.append(heappop(self._starts)[3])
        return late
