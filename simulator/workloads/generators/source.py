"""A synthetic load as a request source: arrivals, joint lengths, shared prefixes, sessions."""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.generators.adapters import AdapterDraws, Adapters
from simulator.workloads.generators.arrivals import Arrivals
from simulator.workloads.generators.lengths import Lengths
from simulator.workloads.generators.retrieval import Library, Retrieval
from simulator.workloads.requests import PrefixHashes, Requests

CHUNK = 65_536
BLOCK_TOKENS = 16
IDS_AT_ONCE = 1 << 22
Ints = NDArray[np.int64]
# Arrival time, prompt tokens, output tokens, session, think time, block ids.
Row = tuple[float, int, int, int, float, list[int]]


@dataclass(frozen=True)
class Prefix:
    """Groups of requests that begin with the same system prompt of `tokens` tokens; a request joins one at random."""

    groups: int
    tokens: int


@dataclass(frozen=True)
class Sessions:
    """Conversations: each arrival starts one of `turns` turns; every turn repeats all that was said before it.

    The next turn comes `think_s` seconds (exponential mean) after its predecessor's arrival plus
    `seconds_per_token` for each token of the answer, or, where sessions wait, after the answer is there.
    `users` limits the conversations that run at once: 0 starts one an arrival, otherwise arrivals are dealt to the
    users in turn and each user's requests go on with one conversation.
    """

    turns: Lengths
    think_s: float = 10.0
    seconds_per_token: float = 0.02
    users: int = 0
    max_tokens: int = 1 << 60


@dataclass(frozen=True)
class Generated:
    """A load of `requests` requests. The same fields give the same requests, whatever the chunk size."""

    arrivals: Arrivals
    prompt_tokens: Lengths
    output_tokens: Lengths
    requests: int
    seed: int = 0
    correlation: float = 0.0
    prefix: Prefix | None = None
    sessions: Sessions | None = None
    retrieval: Retrieval | None = None
    adapters: Adapters | None = None
    speed_up: float = 1.0
    chunk: int = CHUNK
    name: str = "generated"

    def chunks(self) -> Iterator[Requests]:
        """Requests in order of arrival, `speed_up` times as fast as the arrival process."""
        made = self._independent() if self.sessions is None else self._conversations(self.sessions)
        draws = None if self.adapters is None else AdapterDraws(self.adapters, self._stream("adapters"))
        for requests in made:
            adapter = None if draws is None else draws.next(len(requests), requests.session)
            yield replace(requests, arrival_s=requests.arrival_s / self.speed_up, adapter=adapter)

    def _stream(self, name: str) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()),)))

    def _arrival_times(self, count: int) -> Iterator[float]:
        blocks = self.arrivals.times(self._stream("arrivals"))
        return itertools.islice(itertools.chain.from_iterable(b.tolist() for b in blocks), count)

    def _lengths(self, first: np.random.Generator, second: np.random.Generator, count: int) -> tuple[Ints, Ints]:
        """Prompt and output lengths whose normal scores have the wanted correlation (Gaussian copula)."""
        a, b = first.standard_normal(count), second.standard_normal(count)
        mixed = self.correlation * a + np.sqrt(1 - self.correlation**2) * b
        return self.prompt_tokens.quantiles(a), self.output_tokens.quantiles(mixed)

    def _independent(self) -> Iterator[Requests]:
        blocks = self.arrivals.times(self._stream("arrivals"))
        prompts, outputs, groups = (self._stream(n) for n in ("prompt lengths", "output lengths", "prefix groups"))
        waiting = np.empty(0)
        left, serial = self.requests, 0
        blocks_each = 0 if self.prefix is None else self.prefix.tokens // BLOCK_TOKENS
        library = self._library()
        if library is not None:
            blocks_each = library.most_blocks
        chunk = max(1, min(self.chunk, IDS_AT_ONCE // max(blocks_each, 1)))
        while left:
            wanted = min(chunk, left)
            while len(waiting) < wanted:
                block = next(blocks, None)
                if block is None:
                    left = wanted = len(waiting)
                    break
                waiting = np.concatenate([waiting, block])
            if not wanted:
                break
            times, waiting = waiting[:wanted], waiting[wanted:]
            prompt, output = self._lengths(prompts, outputs, wanted)
            prefix = chunks = None
            if library is not None:
                retrieved, prefix, chunks = library.draw(wanted)
                prompt = prompt + retrieved
            if self.prefix is not None:
                group = groups.integers(self.prefix.groups, size=wanted)
                prompt = prompt + self.prefix.tokens
                prefix = _shared(group, self.prefix, serial)
            yield Requests(times, prompt, output, prefix=prefix, chunks=chunks)
            left -= wanted
            serial += wanted

    def _library(self) -> Library | None:
        if self.retrieval is None:
            return None
        lengths, choice, order = (self._stream(f"document {n}") for n in ("lengths", "choice", "order"))
        return Library(self.retrieval, BLOCK_TOKENS, lengths=lengths, choice=choice, order=order)

    def _conversations(self, sessions: Sessions) -> Iterator[Requests]:
        turns = _Turns(self, sessions)
        rows = turns.in_order()
        while rows_of_chunk := self._rows_of_chunk(rows):
            columns = list(zip(*rows_of_chunk, strict=True))
            ids = [np.asarray(c, dtype=np.int64) for c in columns[5]]
            offsets = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
            yield Requests(
                np.array(columns[0]),
                np.array(columns[1], dtype=np.int64),
                np.array(columns[2], dtype=np.int64),
                session=np.array(columns[3], dtype=np.int64),
                think_s=np.array(columns[4]),
                prefix=PrefixHashes(offsets, np.concatenate(ids), BLOCK_TOKENS),
            )

    def _rows_of_chunk(self, rows: Iterator[Row]) -> list[Row]:
        """The next rows, as many as a chunk holds requests or block ids."""
        taken: list[Row] = []
        ids = 0
        while len(taken) < self.chunk and ids < IDS_AT_ONCE and (row := next(rows, None)) is not None:
            taken.append(row)
            ids += len(row[5])
        return taken


def _shared(group: Ints, prefix: Prefix, serial: int) -> PrefixHashes:
    """Ids of the shared blocks alone: what follows them is unlike anything else."""
    blocks = prefix.tokens // BLOCK_TOKENS
    ids = group[:, None] * blocks + np.arange(blocks)[None, :]
    offsets = np.arange(len(group) + 1, dtype=np.int64) * blocks
    return PrefixHashes(offsets, ids.reshape(-1).astype(np.int64), BLOCK_TOKENS)


class _Turns:
    """Makes the turns of all conversations, merged in order of arrival."""

    def __init__(self, load: Generated, sessions: Sessions) -> None:
        self.load = load
        self.sessions = sessions
        self.rngs = {
            n: load._stream(n) for n in ("prompt lengths", "output lengths", "turns", "think", "prefix groups")
        }
        self.next_id = 0 if load.prefix is None else load.prefix.groups * (load.prefix.tokens // BLOCK_TOKENS)
        self.next_session = 0

    def in_order(self) -> Iterator[Row]:
        """Rows sorted by arrival; of equal times the earlier conversation first."""
        rows = self._by_user() if self.sessions.users else self._by_session()
        return itertools.islice(rows, self.load.requests)

    def _by_session(self) -> Iterator[Row]:
        """The next turn of each open conversation waits in a heap; a turn is made when the one before it is due."""
        heap: list[tuple[float, int, Row, Iterator[Row]]] = []

        def follow(talk: Iterator[Row]) -> None:
            row = next(talk, None)
            if row is not None:
                heapq.heappush(heap, (row[0], row[3], row, talk))

        for start in self.load._arrival_times(self.load.requests):
            while heap and heap[0][0] <= start:
                _, _, row, talk = heapq.heappop(heap)
                yield row
                follow(talk)
            follow(self._session(start))
        while heap:
            _, _, row, talk = heapq.heappop(heap)
            yield row
            follow(talk)

    def _session(self, start: float) -> Iterator[Row]:
        count = int(self.sessions.turns.quantiles(self.rngs["turns"].standard_normal(1))[0])
        talk = self._new_talk()
        time, think = start, 0.0
        for _ in range(count):
            row = talk.turn(time, think)
            if row is None:
                return
            yield row
            think = float(self.rngs["think"].exponential(self.sessions.think_s)) if self.sessions.think_s else 0.0
            time += think + row[2] * self.sessions.seconds_per_token

    def _by_user(self) -> Iterator[Row]:
        """Arrivals dealt to the users in turn; a conversation that grows too long starts again."""
        talks: dict[int, _Talk] = {}
        for n, time in enumerate(self.load._arrival_times(self.load.requests)):
            user = n % self.sessions.users
            row = talks[user].turn(time, 0.0) if user in talks else None
            if row is None:
                talks[user] = self._new_talk(user)
                row = talks[user].turn(time, 0.0)
                assert row is not None
            yield row

    def _new_talk(self, user: int | None = None) -> _Talk:
        prefix = self.load.prefix
        group = 0
        if prefix is not None:
            group = int(self.rngs["prefix groups"].integers(prefix.groups)) if user is None else user % prefix.groups
        self.next_session += 1
        return _Talk(self, self.next_session - 1, group)


class _Talk:
    """One conversation: what was said so far, as tokens and as block ids."""

    def __init__(self, turns: _Turns, number: int, group: int) -> None:
        self.turns = turns
        self.number = number
        prefix = turns.load.prefix
        blocks = 0 if prefix is None else prefix.tokens // BLOCK_TOKENS
        self.ids = list(range(group * blocks, (group + 1) * blocks))
        self.said = 0 if prefix is None else prefix.tokens
        self.begun = False

    def turn(self, time: float, think: float) -> Row | None:
        """The next turn, or None if it would be longer than allowed.

        Its block ids reach over the answer, which the turn after it repeats.
        """
        load, rngs = self.turns.load, self.turns.rngs
        question, answer = (int(v[0]) for v in load._lengths(rngs["prompt lengths"], rngs["output lengths"], 1))
        prompt = self.said + question
        if self.begun and prompt + answer > self.turns.sessions.max_tokens:
            return None
        self.begun = True
        blocks = (prompt + answer) // BLOCK_TOKENS
        while len(self.ids) < blocks:
            self.ids.append(self.turns.next_id)
            self.turns.next_id += 1
        self.said = prompt + answer
        return time, prompt, answer, self.number, think, list(self.ids)
