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


class Handoff:
    """Takes finished prompts from prefill replicas to the decode replicas that a router chooses.

    Transfers that share a sender or a receiver follow each other.
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

    def take(self, sequence: Sequence, source: Replica) -> None:
        """Start moving a sequence whose prompt is computed; the source keeps its blocks until they have moved."""
        held = copy.copy(sequence)
        sequence.leave_cache()
        chosen = self.router.choose(sequence, self.replicas) if len(self.replicas) > 1 else 0
        target = self.replicas[chosen]
        target.expect(sequence, lambda missing: self._start(sequence, held, source, target, missing))

    def _start(self, sequence: Sequence, held: Sequence, source: Replica, target: Replica, missing: int) -> None:
        self.clock.process(self._move(sequence, held, source, target, missing))

    def _move(
        self, sequence: Sequence, held: Sequence, source: Replica, target: Replica, missing: int
    ) -> Generator[Event, None, None]:
        """Move the `missing` tokens that the target does not have cached."""
        yield self.clock.at(self._landing(held, source, target, missing), ARRIVAL)
        if self.transfer.visible == "transfer":
            sequence.first_token = sequence.last_token = self.clock.now
        source.let_go(held)
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
