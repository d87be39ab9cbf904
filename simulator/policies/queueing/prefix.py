"""Global prefix grouping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

import numpy as np

from simulator.policies.queueing.discipline import Key
from simulator.policies.registry import build_policy
from simulator.policies.sequence import Sequence


class PrefixGroups:
    """Serve sequences that share a prefix together, the largest groups first, those that decode most first.

    A sequence joins the group of that prefix of its own which saves the most tokens: its length times the others
    seen so far that share it. Within a group, the larger ratio of predicted output to prompt goes first, so that
    long decodes overlap with the prompts that follow. Meant for batches that are known in advance: the large groups
    starve the small under a steady load.

    BatchLLM (arXiv:2412.03594).
    """

    def __init__(
        self,
        *,
        predictor: str = "exact",
        predictor_options: dict[str, Any] | None = None,
        rng: np.random.Generator,
    ) -> None:
        self._predictor = build_policy("predictor", predictor, predictor_options or {}, rng=rng)
        self._sharing: Counter[Hashable] = Counter()
        self._joined: dict[Sequence, Hashable] = {}
        self._sizes: Counter[Hashable] = Counter()
        self._ages: dict[Hashable, int] = {}

    def key(self, sequence: Sequence, now: float) -> Key:
        """The most output a prompt token first."""
        if sequence.predicted_output < 0:
            sequence.predicted_output = self._predictor.predict(sequence)
        return (-sequence.predicted_output / sequence.prompt_tokens,)

    def flow(self, sequence: Sequence) -> Hashable:
        """The group; None for those that share nothing."""
        if sequence not in self._joined:
            group = self._joined[sequence] = self._best_prefix(sequence)
            self._sizes[group] += not sequence.preemptions
            self._ages.setdefault(group, len(self._ages))
        return self._joined[sequence]

    def rank(self, flow: Hashable) -> Key:
        """The number of sequences that were ever in the group, so that it stays ahead while it is served, then age."""
        return (0, 0) if flow is None else (-self._sizes[flow], self._ages[flow])

    def queued(self, sequence: Sequence, now: float) -> None:
        """Count whose prefixes it has, once."""
        if not sequence.preemptions:
            self._sharing.update(key for key, _ in sequence.extents or ())

    def taken(self, sequence: Sequence) -> None:
        """It has left its group, which stays as large."""
        del self._joined[sequence]

    def _best_prefix(self, sequence: Sequence) -> Hashable:
        best, most, length = None, 0, 0
        for identity, blocks in sequence.extents or ():
            length += blocks
            saved = length * (self._sharing[identity] - 1)
            if saved > most:
                best, most = identity, saved
        return best
