"""Cache tiers below device memory: host, NVMe, remote. What they hold, and the channels to and from them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass, field
from math import ceil, inf

from simulator.engine.link import Channel
from simulator.policies.kv_cache.eviction import Eviction
from simulator.policies.kv_cache.reuse import Piece
from simulator.policies.kv_cache.store import Entry, Store


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to store keys and values: `ratio` times smaller, decoded at `decode` bytes/s of what comes out."""

    ratio: float = 1.0
    decode: float = inf


@dataclass(frozen=True, slots=True)
class TierConfig:
    """One tier in SI units; capacity and channels are those of a replica, or of all replicas if `shared`.

    With `encodings`, finest first, every one of them is stored (CacheGen, arXiv:2310.07240), and each
    piece of about `piece_tokens` tokens is fetched in the one that is there first, or in the finest that keeps
    `deadline` seconds from the request. Writes that would make more than `write_buffer` bytes wait are dropped.
    """

    name: str
    capacity: int
    read: float
    write: float
    latency: float
    eviction: Callable[[], Eviction]
    encodings: tuple[Encoding, ...] = (Encoding(),)
    piece_tokens: int = 1536
    deadline: float | None = None
    write_buffer: float = inf
    shared: bool = False


@dataclass(slots=True)
class TierCounts:
    """What a tier did: tokens and bytes loaded from it, and bytes written, evicted and not taken."""

    loads: int = 0
    loaded_tokens: int = 0
    loaded_bytes: int = 0
    written_bytes: int = 0
    evicted_bytes: int = 0
    dropped_bytes: int = 0


@dataclass(slots=True)
class Tier:
    """A tier at work: its contents, a channel each way, and the decoder behind the one that reads."""

    config: TierConfig
    store: Store = field(init=False)
    reading: Channel = field(init=False)
    writing: Channel = field(init=False)
    decoder_free: float = 0.0
    counts: TierCounts = field(default_factory=TierCounts)

    def __post_init__(self) -> None:
        c = self.config
        self.store = Store(c.capacity, c.eviction())
        self.reading = Channel(c.read, c.latency)
        self.writing = Channel(c.write, c.latency)

    def stored_bytes(self, raw: int) -> int:
        """Bytes that `raw` bytes of keys and values take here, in all encodings together."""
        return sum(ceil(raw / encoding.ratio) for encoding in self.config.encodings)

    def fetch(self, sizes: list[int], now: float, *, dry: bool = False) -> tuple[float, float]:
        """Begin and end, in seconds, of reading and decoding pieces of these raw bytes one after the other.

        A piece is decoded while the next ones are on the way. With `dry` nothing is sent.
        """
        reading = copy(self.reading) if dry else self.reading
        begin, decoded, left = max(now, reading.free), max(now, self.decoder_free), sum(sizes)
        for raw in sizes:
            encoding = self._encoding(reading, decoded, raw, left, now)
            _, arrival = reading.send(now, ceil(raw / encoding.ratio))
            decoded = max(decoded, arrival) + raw / encoding.decode
            left -= raw
        if not dry:
            self.decoder_free = decoded
        return begin, decoded

    def _encoding(self, reading: Channel, decoded: float, raw: int, left: int, now: float) -> Encoding:
        """The finest that brings all that is left within the deadline, else the one that is there first."""
        encodings, deadline = self.config.encodings, self.config.deadline
        if len(encodings) == 1:
            return encodings[0]

        def end(encoding: Encoding, size: int) -> float:
            arrival = max(now, reading.free) + ceil(size / encoding.ratio) / reading.bandwidth + reading.latency
            return max(decoded, arrival) + raw / encoding.decode

        if deadline is not None:
            in_time = next((e for e in encodings if end(e, left) <= now + deadline), None)
            if in_time is not None:
                return in_time
        return min(encodings, key=lambda e: end(e, raw))


class Tiers:
    """The tiers that one replica sees, nearest first. What one evicts goes to the next, from the last it is lost."""

    def __init__(self, tiers: list[Tier], bytes_per_token: float) -> None:
        self.tiers = tiers
        self.bytes_per_token = bytes_per_token

    def where(self, key: Hashable) -> int | None:
        """The nearest tier that holds this entry."""
        return next((i for i, tier in enumerate(self.tiers) if tier.store.get(key) is not None), None)

    def put(self, key: Hashable, tokens: int, cost: float, now: float, level: int = 0) -> None:
        """Write an entry to a tier; one that is there already counts as used and is not written again."""
        if level == len(self.tiers):
            return
        tier = self.tiers[level]
        if tier.store.get(key) is not None:
            tier.store.hit(key, cost)
            return
        size = tier.stored_bytes(self._raw(tokens))
        if tier.writing.backlog(now) + size > tier.config.write_buffer:
            tier.counts.dropped_bytes += size
            return
        _, ready = tier.writing.send(now, size)
        tier.counts.written_bytes += size
        for victim, old in tier.store.put(key, Entry(size, tokens, cost, ready)):
            tier.counts.evicted_bytes += old.size
            self.put(victim, old.tokens, old.cost, max(now, old.ready), level + 1)

    def estimate(self, pieces: list[Piece], now: float) -> float:
        """When these pieces would be here if they were fetched at `now`, in seconds."""
        return max((tier.fetch(sizes, at, dry=True)[1] for tier, sizes, at in self._by_tier(pieces, now)), default=now)

    def fetch(self, pieces: list[Piece], now: float) -> tuple[float, float]:
        """Load pieces, from several tiers at once; begin and end in seconds. Each counts as used, the last first."""
        begin, end = inf, now
        for tier, sizes, at in self._by_tier(pieces, now):
            before = tier.reading.bytes
            first, last = tier.fetch(sizes, at)
            begin, end = min(begin, first), max(end, last)
            tier.counts.loads += 1
            tier.counts.loaded_bytes += tier.reading.bytes - before
        for piece in reversed(pieces):
            tier = self.tiers[piece.tier]
            entry = tier.store.get(piece.key)
            assert entry is not None
            tier.store.hit(piece.key, entry.cost)
            tier.counts.loaded_tokens += piece.tokens
        return begin, end

    def _by_tier(self, pieces: list[Piece], now: float) -> list[tuple[Tier, list[int], float]]:
        """For each tier in use: raw bytes to read in one go each, and when all of it has been written."""
        found: list[tuple[Tier, list[int], float]] = []
        for level, tier in enumerate(self.tiers):
            here = [piece for piece in pieces if piece.tier == level]
            if not here:
                continue
            entries = [tier.store.get(piece.key) for piece in here]
            ready = max(entry.ready for entry in entries if entry is not None)
            found.append((tier, self._reads(here, tier.config.piece_tokens), max(now, ready)))
        return found

    def _reads(self, pieces: list[Piece], most: int) -> list[int]:
        """Raw bytes of the pieces, neighbours joined as far as they have no more than `most` tokens."""
        reads: list[int] = []
        tokens = most
        for piece in pieces:
            if tokens + piece.tokens > most:
                reads.append(0)
                tokens = 0
            tokens += piece.tokens
            reads[-1] += self._raw(piece.tokens)
        return reads

    def _raw(self, tokens: int) -> int:
        return ceil(tokens * self.bytes_per_token)
