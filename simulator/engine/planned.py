"""Requests whose life is a plan of calls: rounds of calls to pools on one clock, each round joined before the next."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from simpy.events import Event

from simulator.engine.asked import Asked
from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.endpoint import Endpoint, shed
from simulator.engine.recorder import Floats
from simulator.errors import InputError, unknown_name
from simulator.policies.plans.plan import Call, Plan, Query
from simulator.policies.sequence import Sequence

REQUEST_COLUMNS = (
    "index", "replica", "arrival_s", "scheduled_s", "first_token_s", "finish_s", "prompt_tokens", "output_tokens",
    "cached_tokens", "preemptions", "answered_by", "calls", "rounds", "called_prompt_tokens", "called_output_tokens",
)  # fmt: skip
CALL_COLUMNS = (
    "index", "call", "round", "role", "pool", "replica", "sent_s", "arrival_s", "scheduled_s", "first_token_s",
    "finish_s", "answered_s", "prompt_tokens", "output_tokens", "cached_tokens", "preemptions",
)  # fmt: skip


@dataclass(slots=True)
class _Made:
    """One call as its pool computes it: the round that it belongs to, and when it was sent, ended and answered."""

    call: Call
    sequence: Sequence
    number: int
    sent: float
    ended: float = -1.0
    answered: float = -1.0


@dataclass(slots=True)
class _Life:
    """One request under way: the calls of the round in progress, the last answers, and all calls sent so far."""

    asked: Asked
    rounds: Iterator[tuple[Call, ...]]
    number: int = 0
    open: int = 0
    calls: list[_Made] = field(default_factory=list)
    answer: list[_Made] = field(default_factory=list)
    sent: list[Sequence] = field(default_factory=list)


class PlannedRequests:
    """Takes requests through their plans. `run` serves a load to its end and fills the tables.

    `endpoints` are the pools by name, in the order of their numbers in the tables. `rng_of` gives each request, by
    its index, random numbers of its own. With `concurrency`, so many clients each send the next request when their
    last one has ended. Of a request that cannot be served, `rejected` or `shed`, the calls made by then count.
    """

    def __init__(
        self,
        clock: Clock,
        plan: Plan,
        endpoints: Mapping[str, Endpoint],
        rng_of: Callable[[int], np.random.Generator],
        *,
        concurrency: int | None = None,
        skip_unservable: bool = False,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self.clock = clock
        self.rejected: list[tuple[int, str]] = []
        self.shed: list[int] = []
        self.roles: list[str] = []
        self._plan = plan
        self._endpoints = endpoints
        self._places = {name: place for place, name in enumerate(endpoints)}
        self._rng_of = rng_of
        self._concurrency = concurrency
        self._skip_unservable = skip_unservable
        self._on_progress = on_progress
        self._source: Iterator[Asked] = iter(())
        self._exhausted = False
        self._open = 0
        self._made = 0
        self._calls = array("d")
        self._requests = array("d")
        self._done = clock.event()

    def run(self, source: Iterator[Asked]) -> None:
        """Serve every request; returns when the last has ended."""
        self._source = source
        if self._concurrency is None:
            self.clock.process(self._arrivals())
        else:
            for _ in range(self._concurrency):
                self._next_of_client()
        for endpoint in self._endpoints.values():
            endpoint.cluster.start_control()
        self.clock.run(self._done)

    def _arrivals(self) -> Generator[Event, None, None]:
        for asked in self._source:
            yield self.clock.at(asked.arrival, ARRIVAL)
            self._begin(asked)
        self._exhausted = True
        self._end_with_the_last()

    def _next_of_client(self) -> None:
        asked = next(self._source, None)
        if asked is None:
            self._exhausted = True
            self._end_with_the_last()
        else:
            self._begin(Asked(asked.query, self.clock.now, asked.chunk, asked.row))

    def _begin(self, asked: Asked) -> None:
        self._open += 1
        index = asked.query.index
        if self._on_progress is not None and index % 512 == 511:
            self._on_progress(index + 1)
        self._next_round(_Life(asked, self._plan.rounds(asked.query, self._rng_of(index))))

    def _next_round(self, life: _Life) -> None:
        calls = next(life.rounds, None)
        if calls is None:
            self._finish(life)
            return
        check_round(calls, self._places)
        now = self.clock.now
        life.calls = [_Made(call, self._sequence(life.asked, call), life.number, now) for call in calls]
        for made in life.calls:
            cluster = self._endpoints[made.call.pool].cluster
            if not cluster.holds(made.sequence):
                self._reject(life, f"a call to pool {made.call.pool} needs {cluster.lack(made.sequence)}")
                return
        if calls[0].role == "answer":
            life.answer = life.calls
        life.open = len(calls)
        life.number += 1
        for made in life.calls:
            life.sent.append(made.sequence)
            self._endpoints[made.call.pool].call(made.sequence, partial(self._answered, life, made))

    def _sequence(self, asked: Asked, call: Call) -> Sequence:
        chunk, row = asked.chunk, asked.row
        cluster = self._endpoints[call.pool].cluster
        sequence = Sequence(
            self._made, self.clock.now, call.prompt_tokens, call.output_tokens,
            extents=asked.extents(call, cluster.block_tokens),
            chunks=chunk.chunks.of(row) if call.repeats and chunk.chunks is not None else None,
            session=-1 if chunk.session is None else int(chunk.session[row]),
            priority=0 if chunk.priority is None else int(chunk.priority[row]),
            tenant=asked.query.tenant,
        )  # fmt: skip
        self._made += 1
        return sequence

    def _answered(self, life: _Life, made: _Made, ended: float) -> None:
        made.ended, made.answered = ended, self.clock.now
        if not shed(made.sequence):
            self._record_call(life.asked.query, made)
        life.open -= 1
        if life.open:
            return
        if any(shed(m.sequence) for m in life.calls):
            self.shed.append(life.asked.query.index)
            self._end()
        else:
            self._next_round(life)

    def _reject(self, life: _Life, lack: str) -> None:
        reason = f"request {life.asked.query.index}: {lack}"
        if not self._skip_unservable:
            raise InputError(f"{reason}: use more or larger devices a replica, or --set load.on_error=skip")
        self.rejected.append((life.asked.query.index, reason))
        self._end()

    def _finish(self, life: _Life) -> None:
        """The plan has no more rounds: the request is answered by its last answers."""
        now, query, sent = self.clock.now, life.asked.query, life.sent
        if not life.answer:
            raise InputError(f"the plan answers request {query.index} with no call: give one the role answer")
        first = life.answer[0]
        written = life.answer is life.calls and len(life.answer) == 1 and first.call.shown
        self._requests.extend(
            (
                query.index, -1, life.asked.arrival, min(s.scheduled for s in sent),
                self._endpoints[first.call.pool].seen(first.sequence) if written else now, now,
                query.whole_tokens, max(m.sequence.output_tokens for m in life.answer),
                sum(s.cached_tokens for s in sent), sum(s.preemptions for s in sent),
                self._places[first.call.pool], len(sent), life.number,
                sum(s.prompt_tokens for s in sent), sum(s.output_tokens for s in sent),
            )
        )  # fmt: skip
        self._end()

    def _record_call(self, query: Query, made: _Made) -> None:
        call, s = made.call, made.sequence
        if call.role not in self.roles:
            self.roles.append(call.role)
        self._calls.extend(
            (
                query.index, s.index, made.number, self.roles.index(call.role), self._places[call.pool], s.replica,
                made.sent, s.arrival, s.scheduled, s.first_token, made.ended, made.answered,
                s.prompt_tokens, s.output_tokens, s.cached_tokens, s.preemptions,
            )
        )  # fmt: skip

    def _end(self) -> None:
        self._open -= 1
        if self._concurrency is not None:
            self._next_of_client()
        self._end_with_the_last()

    def _end_with_the_last(self) -> None:
        if self._exhausted and not self._open and not self._done.triggered:
            self._done.succeed()

    def requests(self) -> dict[str, Floats]:
        """Finished requests by column, in the order of the load."""
        return _columns(self._requests, REQUEST_COLUMNS, 0)

    def calls(self) -> dict[str, Floats]:
        """Calls whose answer is back by column, in the order in which they were made."""
        return _columns(self._calls, CALL_COLUMNS, 1)


def check_round(calls: tuple[Call, ...], pools: Collection[str]) -> None:
    """Raise `InputError` for a round of a plan that cannot be made."""
    if not calls:
        raise InputError("the plan made a round of no calls: leave the round out")
    for call in calls:
        if call.pool not in pools:
            raise unknown_name("pool of the plan", call.pool, pools)
        if call.prompt_tokens < 1 or call.output_tokens < 1:
            raise InputError(
                f"the plan made a call of {call.prompt_tokens} prompt and {call.output_tokens} output tokens to pool "
                f"{call.pool}: give 1 or more of each"
            )


def _columns(rows: array[float], names: tuple[str, ...], by: int) -> dict[str, Floats]:
    table = np.frombuffer(rows, dtype=np.float64).reshape(-1, len(names))
    order = np.argsort(table[:, by], kind="stable")
    return {name: table[order, i] for i, name in enumerate(names)}
