"""Shortest job first, and shortest remaining processing time first."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.policies.queueing.discipline import Key
from simulator.policies.queueing.prediction import LengthPredictor
from simulator.policies.registry import build_policy
from simulator.policies.sequence import Sequence


class _Sizes:
    """Sizes of jobs in tokens: predicted output, plus `prompt_weight` a prompt token."""

    def __init__(self, predictor: LengthPredictor, prompt_weight: float) -> None:
        if prompt_weight < 0:
            raise ValueError(f"prompt_weight is {prompt_weight}, which must be 0 or more")
        self._predictor = predictor
        self._prompt_weight = prompt_weight

    def output(self, sequence: Sequence) -> int:
        """Predicted output tokens; predicted once a request."""
        if sequence.predicted_output < 0:
            sequence.predicted_output = self._predictor.predict(sequence)
        return sequence.predicted_output

    def whole(self, sequence: Sequence) -> float:
        """Size at arrival."""
        return self.output(sequence) + self._prompt_weight * sequence.prompt_tokens

    def remaining(self, sequence: Sequence) -> float:
        """What is left; an output longer than predicted counts as about to end."""
        left = max(1, self.output(sequence) - sequence.generated)
        return left + self._prompt_weight * max(0, sequence.remaining_prefill)


class ShortestJobFirst:
    """Admit the sequence with the least work first: its predicted output plus `prompt_weight` a prompt token.

    `predictor` (with `predictor_options`) says what is known of the output. Minimises the mean wait of those
    disciplines that neither preempt nor know when jobs arrive; starves long jobs under overload.

    Conway, Maxwell and Miller, Theory of Scheduling, 1967; for LLMs, S3 (arXiv:2306.06000).
    """

    def __init__(
        self,
        *,
        predictor: str = "exact",
        predictor_options: dict[str, Any] | None = None,
        prompt_weight: float = 0.0,
        rng: np.random.Generator,
    ) -> None:
        self._sizes = _Sizes(build_policy("predictor", predictor, predictor_options or {}, rng=rng), prompt_weight)

    def key(self, sequence: Sequence, now: float) -> Key:
        """The whole job, also after a preemption for want of blocks."""
        return (self._sizes.whole(sequence),)


class ShortestRemainingFirst:
    """Admit the sequence with the least work left first, and let it take the place of one that has more left.

    Work counts as in shortest-job-first. A sequence that has given a share `commit_after` of its predicted
    output is preempted no more (1: it always may be), as in TRAIL (arXiv:2410.01035): the longer it
    has run, the more blocks it gives up to be computed again.

    Schrage, "A proof of the optimality of the shortest remaining processing time discipline", 1968.
    """

    def __init__(
        self,
        *,
        predictor: str = "exact",
        predictor_options: dict[str, Any] | None = None,
        prompt_weight: float = 0.0,
        commit_after: float = 1.0,
        rng: np.random.Generator,
    ) -> None:
        self._sizes = _Sizes(build_policy("predictor", predictor, predictor_options or {}, rng=rng), prompt_weight)
        self._commit_after = commit_after

    def key(self, sequence: Sequence, now: float) -> Key:
        """Work left."""
        return (self._sizes.remaining(sequence),)

    def preempts(self, waiting: Sequence, running: Sequence) -> bool:
        """Whether less is left of it, and the running one is not too far on."""
        committed = running.generated >= self._commit_after * self._sizes.output(running)
        return not committed and self._sizes.remaining(waiting) < self._sizes.remaining(running)
