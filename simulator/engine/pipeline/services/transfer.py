"""Bytes over a link: packets that are lost are sent again, and the last one takes the link's latency to arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.service import Job, Step
from simulator.engine.pipeline.services.drawn import Amount


@dataclass(frozen=True, slots=True)
class Loss:
    """Each packet of `packet` bytes is lost with a `probability` and sent again up to `retries` times.

    Retransmissions are selective: after a round trip the sender sends what is missing. With a packet still missing
    after the last of them the item is lost.
    """

    probability: float
    packet: float
    retries: int

    def rounds(self, size: float, rng: np.random.Generator) -> tuple[list[float], bool]:
        """Bytes of each round, and whether something is missing in the end."""
        missing, sent = max(ceil(size / self.packet), 1), [size]
        while missing := int(rng.binomial(missing, self.probability)):
            if len(sent) > self.retries:
                return sent, True
            sent.append(missing * self.packet)
        return sent, False


class Transfer:
    """An item's `amount` of bytes over `link`; `latency` seconds one way."""

    def __init__(
        self, link: Resource, amount: Amount, latency: float, loss: Loss | None, rng: np.random.Generator
    ) -> None:
        self._link, self._amount, self._latency, self._loss, self._rng = link, amount, latency, loss, rng

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        size = sum(self._amount(item) for item in batch)
        if self._loss is None:
            return Job((Step(size, self._link),), self._latency)
        rounds, lost = self._loss.rounds(size, self._rng)
        steps = [step for sent in rounds for step in (Step(sent, self._link), Step(2.0 * self._latency))]
        return Job(tuple(steps[:-1]), self._latency, lost)

    def alone(self, item: Item, now: float) -> float:
        return self._amount(item) / max(self._link.rate.at(now), 1e-12) + self._latency
