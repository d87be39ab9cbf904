"""A pool of replicas behind a network: sequences go in, answers come back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.cluster import Cluster
from simulator.engine.link import Channel
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Network:
    """What lies between those who call a pool and it: seconds there and back, and bytes/s each way for all calls.

    A prompt goes up before it is seen and an answer comes down when it is complete, as text of `bytes_per_token`.
    """

    round_trip: float = 0.0
    up: float = math.inf
    down: float = math.inf
    bytes_per_token: float = 4.0


class Endpoint:
    """Where a pool is called. `call` sends a sequence and tells when its answer is back.

    Transfers each way wait for those before them. Whoever stands between the network and the cluster (devices that
    models share in turn) takes `take` for its own.
    """

    def __init__(self, name: str, clock: Clock, network: Network, build: Callable[[Endpoint], Cluster]) -> None:
        self.name = name
        self.network = network
        self._clock = clock
        self._up = Channel(network.up, network.round_trip / 2)
        self._down = Channel(network.down, network.round_trip / 2)
        self._answers: dict[Sequence, Callable[[float], None]] = {}
        self.cluster = build(self)
        self.take: Callable[[Sequence], None] = self.cluster.submit
        self.on_ended: Callable[[], None] = lambda: None

    def call(self, sequence: Sequence, on_answer: Callable[[float], None]) -> None:
        """Send a sequence off now.

        When its answer, or word that it was shed, is back, `on_answer` is called with the time when it had ended.
        """
        self._answers[sequence] = on_answer
        _, there = self._up.send(self._clock.now, self._bytes(sequence.prompt_tokens))
        self._when(there, lambda: self._arrive(sequence))

    def ended(self, sequence: Sequence, time: float) -> None:
        """The cluster has served or shed a sequence."""
        answer = 0 if shed(sequence) else self._bytes(sequence.output_tokens)
        _, back = self._down.send(time, answer)
        on_answer = self._answers.pop(sequence)
        self._when(back, lambda: on_answer(time))
        self.on_ended()

    def seen(self, sequence: Sequence) -> float:
        """When the caller sees the first token of an answer that is shown as it is written, in seconds."""
        one = self.network.bytes_per_token / self.network.down
        return sequence.first_token + self.network.round_trip / 2 + one

    @property
    def sent_bytes(self) -> int:
        """Bytes of text sent so far, both ways."""
        return self._up.bytes + self._down.bytes

    def _arrive(self, sequence: Sequence) -> None:
        sequence.arrival = self._clock.now
        self.take(sequence)

    def _bytes(self, tokens: int) -> int:
        return round(tokens * self.network.bytes_per_token)

    def _when(self, time: float, act: Callable[[], None]) -> None:
        """Do something at `time`, now included."""
        if time <= self._clock.now:
            act()
            return
        event = self._clock.at(time, ARRIVAL)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: act())


def shed(sequence: Sequence) -> bool:
    """Whether a sequence that has ended was refused by admission control."""
    return sequence.first_token < 0
