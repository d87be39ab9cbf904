"""Disaggregated serving: finished prompts move, with their KV cache, from prefill replicas to decode replicas.

DistServe (Zhong et al., OSDI 2024, section 3.3) and Splitwise (Patel et al., ISCA 2024, section 4.1): the decode side
reserves blocks and then receives, so prompts wait in the prefill side's memory while the decode side is full.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.replica import Replica
from simulator.policies.routing import Router
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class WireEncoding:
    """A form of the cache that is `ratio` times smaller on the way.

    All devices of a source encode `encode` bytes a second of what goes in, those of a target decode `decode` of what
    comes out, beside what they compute.
    """

    ratio: float
    encode: float
    decode: float


@dataclass(frozen=True, slots=True)
class KVTransfer:
    """What moving cached tokens between two replicas takes.

    `token_bytes` is what all receiving devices together get for one token; `send` and `receive` are bytes a second
    of all devices of a source and of a target replica, `latency` the seconds of a transfer of nothing. With
    `layerwise`, the cache of each of `layers` layers leaves as soon as it is computed (Splitwise, figure 11).
    `visible` is when the first token is: "prefill", when it is computed, or "transfer", when the cache has landed.
    With `encoding`, layers are encoded, sent and decoded one after the other, each stage at work on another layer.
    """

    token_bytes: float
    send: float
    receive: float
    latency: float
    layers: int
    layerwise: bool = False
    visible: str = "prefill"
    encoding: WireEncoding | None = None

    def seconds(self, tokens: int) -> float:
        """Seconds that the slower side works on so many tokens, of an encoded cache from its first byte to its last."""
        if self.encoding is None:
            return tokens * self.token_bytes / min(self.send, self.receive)
        stages = self._stages(self.encoding, tokens)
        return sum(stages) + (self.layers - 1) * max(stages)

    def layer_seconds(self, tokens: int) -> float:
        """Seconds of one layer's share from the source's memory to the target's."""
        if self.encoding is None:
            return self.seconds(tokens) / self.layers
        return sum(self._stages(self.encoding, tokens))

    def wire_bytes(self, tokens: int) -> float:
        """Bytes that cross the link for so many tokens."""
        plain = tokens * self.token_bytes
        return plain if self.encoding is None else plain / self.encoding.ratio

    def _stages(self, encoding: WireEncoding, tokens: int) -> tuple[float, float, float]:
        """Seconds to encode, send and decode one layer."""
        layer = tokens * self.token_bytes / self.layers
        return (
            layer / encoding.encode, layer / encoding.ratio / min(self.send, self.receive), layer / encoding.decode,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Moving:
    """A sequence on its way: `source` keeps the blocks of `held`, a copy; `decoded` ones had begun to decode there."""

    sequence: Sequence
    held: Sequence
    source: Replica
    decoded: bool


class Handoff:
    """Takes finished prompts from prefill replicas to the decode replicas that a router chooses.

    Transfers that share a sender or a receiver follow each other. `replicas` are those that decode now.
    """

    def __init__(self, clock: Clock, transfer: KVTransfer, router: Router, replicas: Sequenced[Replica]) -> None:
        self.clock = clock
        self.transfer = transfer
        self.router = router
        self.replicas = replicas
        self.bytes = 0.0
        self.count = 0
        self.busy_seconds = 0.0
        self._free: dict[tuple[str, int], float] = {}
        self._offered: dict[Sequence, _Moving] = {}

    def take(self, sequence: Sequence, source: Replica) -> None:
        """Start moving a sequence whose prompt is computed; the source keeps its blocks until they have moved."""
        self._leave(sequence, source, decoded=sequence.generated > 1)

    def take_decoding(self, sequence: Sequence, source: Replica) -> None:
        """The same for a sequence that has begun to decode and has left its source's batch."""
        sequence.target = sequence.computed
        self._leave(sequence, source, decoded=True)

    def offer_again(self, target: Replica) -> None:
        """Choose other replicas for the sequences that `target` was to receive and has no blocks for yet."""
        for sequence in target.expect_no_more():
            self._offer(self._offered.pop(sequence))

    def _leave(self, sequence: Sequence, source: Replica, *, decoded: bool) -> None:
        held = copy.copy(sequence)
        if decoded:
            held.scheduled = self.clock.now  # no layer of it has left before
        sequence.leave_cache()
        self._offer(_Moving(sequence, held, source, decoded))

    def _offer(self, moving: _Moving) -> None:
        sequence = moving.sequence
        chosen = self.router.choose(sequence, self.replicas) if len(self.replicas) > 1 else 0
        target = self.replicas[chosen]
        self._offered[sequence] = moving
        target.expect(sequence, lambda missing: self._start(moving, target, missing))

    def _start(self, moving: _Moving, target: Replica, missing: int) -> None:
        del self._offered[moving.sequence]
        self.clock.process(self._move(moving, target, missing))

    def _move(self, moving: _Moving, target: Replica, missing: int) -> Generator[Event, None, None]:
        """Move the `missing` tokens that the target does not have cached."""
        sequence = moving.sequence
        yield self.clock.at(self._landing(moving.held, moving.source, target, missing), ARRIVAL)
        if self.transfer.visible == "transfer" and not moving.decoded:
            sequence.first_token = sequence.last_token = self.clock.now
        moving.source.let_go(moving.held)
        target.accept(sequence)

    def _landing(self, held: Sequence, source: Replica, target: Replica, missing: int) -> float:
        """When the last byte is there; books both sides until then."""
        t, now = self.transfer, self.clock.now
        seconds = t.seconds(missing)
        sides = (("send", source.number), ("receive", target.number))
        free = max(self._free.get(side, 0.0) for side in sides)
        begun = held.scheduled if t.layerwise else now
        landing = max(max(begun, free) + seconds, now + t.layer_seconds(missing)) + t.latency
        for side in sides:
            self._free[side] = landing
        self.bytes += t.wire_bytes(missing)
        self.count += 1
        self.busy_seconds += seconds
        return landing
