"""Predictors of output length: what a scheduler knows of a request before it has been served.

A predictor is any object with `predict(sequence) -> int`. Draws belong to the request's number, so that neither the
order of questions nor the number of replicas changes them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from simulator.policies.sequence import Sequence


class LengthPredictor(Protocol):
    """Guesses how many tokens will come out."""

    def predict(self, sequence: Sequence) -> int:
        """Output tokens of a request, at least 1; the same at every call."""
        ...


class Exact:
    """Knows every output length: the bound that no predictor can beat."""

    def predict(self, sequence: Sequence) -> int:
        """The length itself."""
        return sequence.output_tokens


class Noisy:
    """The true length times a log-normal factor of median 1 and standard deviation `sigma` of its logarithm."""

    def __init__(self, *, sigma: float = 0.5, rng: np.random.Generator) -> None:
        if sigma < 0:
            raise ValueError(f"sigma is {sigma}, which must be 0 or more")
        self._sigma = sigma
        self._draws = _Draws(rng)

    def predict(self, sequence: Sequence) -> int:
        """The length as misjudged for this request."""
        factor = np.exp(self._sigma * self._draws.of(sequence).standard_normal())
        return max(1, round(sequence.output_tokens * float(factor)))


class Bucketed:
    """A classifier of output lengths into buckets, which predicts the upper edge of the bucket it takes for right.

    `edges` are upper edges in tokens, ascending; beyond the last, a length counts as twice the last. With
    probability 1 - `accuracy` the classifier names a neighbouring bucket.

    As the classifiers of S3 (Jin et al., arXiv:2306.06000), which has buckets of equal size.
    """

    def __init__(
        self,
        *,
        edges: tuple[int, ...] | list[int] = (32, 64, 128, 256, 512, 1024, 2048, 4096),
        accuracy: float = 1.0,
        rng: np.random.Generator,
    ) -> None:
        if not edges or sorted(set(edges)) != list(edges) or edges[0] < 1:
            raise ValueError(f"edges are {list(edges)}, which must be positive and ascending")
        if not 0 <= accuracy <= 1:
            raise ValueError(f"accuracy is {accuracy}, which must be between 0 and 1")
        self._edges = np.array([*edges, 2 * edges[-1]])
        self._accuracy = accuracy
        self._draws = _Draws(rng)

    def predict(self, sequence: Sequence) -> int:
        """The upper edge of the bucket that the classifier names."""
        last = len(self._edges) - 1
        bucket = min(int(np.searchsorted(self._edges, sequence.output_tokens)), last)
        rng = self._draws.of(sequence)
        if rng.random() >= self._accuracy:
            step = 1 if rng.random() < 0.5 else -1
            bucket = min(max(bucket + step, 0), last)
        return int(self._edges[bucket])


class _Draws:
    """One random stream a request, all from one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._key = int(rng.integers(1 << 63))

    def of(self, sequence: Sequence) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=self._key, counter=[0, sequence.index, 0, 0]))
