"""A router that weighs what a request would add to the work that each replica mixes."""

from __future__ import annotations

import math
from collections.abc import Sequence as Sequenced

import numpy as np

from simulator.policies.routing.views import ReplicaView
from simulator.policies.sequence import Sequence


class PredictedCost:
    """The replica where a request of predicted output length delays itself and the others least.

    Every token of an iteration delays every sequence in that iteration alike, so delays are counted in tokens:
    the request waits for the prompt tokens ahead of it, its own uncached prompt delays itself and those that
    decode there (`mixing` times), and its decode steps delay, and are delayed by, as many steps of each other
    request as both are predicted to have (`decode` times).

    The prediction is the true length times a log-normal factor of standard deviation `error` (0: an oracle),
    drawn once a request from the seeded stream `rng`.

    After Jain et al., "Intelligent Router for LLM Workloads" (arXiv:2408.13510): an output-length predictor and
    the impact of mixing prompts and decodes, here with the greedy choice in place of their learned one.
    """

    def __init__(
        self, *, rng: np.random.Generator, error: float = 0.5, mixing: float = 1.0, decode: float = 1.0
    ) -> None:
        if min(error, mixing, decode) < 0:
            raise ValueError("error, mixing and decode are at least 0")
        self._rng = rng
        self.error = error
        self.mixing = mixing
        self.decode = decode
        self._predicted: dict[Sequence, tuple[int, float]] = {}
        self._expected: dict[int, float] = {}

    def choose(self, sequence: Sequence, replicas: Sequenced[ReplicaView]) -> int:
        """The replica with the least added cost, the first of equals."""
        known = self._forget(sequence)
        output = self._predict(sequence) if known is None else known
        costs = [self._cost(sequence, output, r) for r in replicas]
        chosen = costs.index(min(costs))
        number = replicas[chosen].number
        self._predicted[sequence] = (number, output)
        self._expected[number] = self._expected.get(number, 0.0) + output
        return chosen

    def finished(self, sequence: Sequence) -> None:
        """The request no longer adds to its replica's predicted work."""
        self._forget(sequence)

    def _predict(self, sequence: Sequence) -> float:
        return sequence.output_tokens * math.exp(self.error * float(self._rng.standard_normal()))

    def _cost(self, sequence: Sequence, output: float, replica: ReplicaView) -> float:
        prompt = sequence.target - replica.cached_tokens(sequence)
        others = replica.outstanding
        shared = min(output, self._expected.get(replica.number, 0.0) / others) if others else 0.0
        mixed = self.mixing * prompt * replica.decoding + self.decode * 2.0 * shared * others
        return replica.prompt_backlog + prompt + mixed

    def _forget(self, sequence: Sequence) -> float | None:
        known = self._predicted.pop(sequence, None)
        if known is None:
            return None
        self._expected[known[0]] -= known[1]
        return known[1]
