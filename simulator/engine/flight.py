"""Runs of one sequence that follow each other through a pipeline before the ones ahead of them are verified.

PipeInfer (Butler et al., SC 2024, arXiv:2407.11798): the last token enters the pipeline at once, and drafts follow it
as soon as each is written. What comes out of a run says whether the run behind it goes on from the right token; if
not, all runs behind it are cancelled and the pipeline starts again from the right one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from simulator.engine.drafter import Drafter
from simulator.engine.query_pass import Pass, Queries
from simulator.engine.step_timer import StepTimer
from simulator.policies.sequence import Sequence
from simulator.policies.speculation.plan import Draft, chain


@dataclass(frozen=True, slots=True)
class Run:
    """A verification under way: its pass, its tokens, when it leaves the last stage, and what drafting it took."""

    target: Pass
    tokens: int
    end: float
    draft_seconds: float

    @property
    def draft(self) -> Draft:
        """What of it is still to be examined: the run before gave its first token."""
        return chain(self.tokens - 1)


class Flight:
    """The runs of one lane's only sequence: at most `most`, of a draft's tokens each, over `stage_free`.

    A cancelled run leaves its stage at once: stages look for cancellations between layers.
    """

    def __init__(self, timer: StepTimer, drafter: Drafter, most: int, stage_free: list[float]) -> None:
        self.most = most
        self._timer = timer
        self._drafter = drafter
        self._stage_free = stage_free
        self._runs: deque[Run] = deque()
        self._reach = 0
        self._drafter_free = 0.0

    def next_run(self, sequence: Sequence, tokens: int, now: float, *, goes_on: bool) -> Run:
        """The run to be verified next, after others of `tokens` tokens have been sent behind it.

        `goes_on` says that the run before it left and that this one goes on from the right token; else the caller has
        cancelled all, and the last token is sent alone.
        """
        if goes_on:
            self._runs.popleft()
        else:
            self._reach = sequence.computed
            self._launch(1, now, 0.0)
        while len(self._runs) < self.most and (tokens or not self._runs):
            self._send(tokens, now)
        return self._runs[0]

    def cancel(self, now: float) -> int:
        """Give up all runs but the first, which has left; the number of their tokens. Stages and drafter are free."""
        cancelled = sum(run.tokens for run in list(self._runs)[1:])
        self._runs.clear()
        self._stage_free[:] = [min(free, now) for free in self._stage_free]
        self._drafter_free = now
        return cancelled

    def _send(self, tokens: int, now: float) -> None:
        """Write a draft as soon as the drafter is free, and send it into the pipeline."""
        cached = np.array([self._reach - 1], dtype=np.int64)
        passes = self._drafter.passes(cached, np.zeros_like(cached), [chain(tokens)])
        seconds = self._drafter.seconds(passes)
        self._drafter_free = max(self._drafter_free, now) + seconds
        self._launch(tokens, self._drafter_free, seconds)

    def _launch(self, tokens: int, time: float, draft_seconds: float) -> None:
        queries = Queries(np.array([self._reach], dtype=np.int64), np.array([tokens], dtype=np.int64))
        target = Pass(self._timer, queries, tokens)
        time += self._timer.host_seconds(1)
        for stage, seconds in enumerate(target.stage_seconds()):
            time = max(time, self._stage_free[stage]) + seconds
            self._stage_free[stage] = time
        self._reach += tokens
        self._runs.append(Run(target, tokens, time, draft_seconds))
