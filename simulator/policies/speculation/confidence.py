"""Drafts whose lengths come out of the drafting itself: until confidence falls, or through an inner verification."""

from __future__ import annotations

from simulator.policies.sequence import Sequence
from simulator.policies.speculation.draws import PositionDraws, Streams
from simulator.policies.speculation.fixed import whole
from simulator.policies.speculation.plan import Draft, Inner, View, chain


class BigLittle:
    """The small model runs on until it is unsure, then the large one verifies all that it wrote at once.

    It falls back at a position with chance `fallback_rate`, and after `most_tokens` at the latest; the large model
    rolls back at the first token that it disagrees with, whose rate is one less the acceptance law's (BiLD,
    arXiv:2302.07863, section 3).
    """

    inner: Inner | None = None

    def __init__(self, *, streams: Streams, fallback_rate: float = 0.2, most_tokens: int = 10) -> None:
        if not 0.0 <= fallback_rate <= 1.0:
            raise ValueError(f"fallback_rate is {fallback_rate}: give a chance of 0 to 1")
        self.fallback_rate = fallback_rate
        self.most_tokens = whole("most_tokens", most_tokens, 1)
        self._draws = PositionDraws(streams, "fallback", beyond=self.most_tokens)

    def drafts(self, view: View) -> list[Draft]:
        return [chain(self._sure_tokens(s)) for s in view.sequences]

    def _sure_tokens(self, sequence: Sequence) -> int:
        """Tokens until the first position that the small model is unsure of."""
        ahead = self._draws.of(sequence)[sequence.generated : sequence.generated + self.most_tokens]
        unsure = ahead < self.fallback_rate
        return int(unsure.argmax()) if unsure.any() else self.most_tokens


class Hierarchical:
    """Two levels: the target's weights over part of the cache verify a drafter, and the whole target verifies both.

    The drafter proposes `inner_tokens` a round until `tokens` have passed the inner level, which sees `cache_tokens`
    of each sequence and accepts with chance `inner_rate`; the acceptance law is that of the outer level (TriForce,
    arXiv:2404.11912, section 4).
    """

    def __init__(
        self,
        *,
        streams: Streams,
        tokens: int = 6,
        inner_tokens: int = 2,
        inner_rate: float = 0.7,
        cache_tokens: int = 4096,
    ) -> None:
        if not 0.0 <= inner_rate <= 1.0:
            raise ValueError(f"inner_rate is {inner_rate}: give a chance of 0 to 1")
        if not isinstance(cache_tokens, int) or cache_tokens < 1:
            raise ValueError(f"cache_tokens is {cache_tokens!r}: give a whole number of at least 1")
        self.tokens = whole("tokens", tokens, 1)
        self.inner = Inner(whole("inner_tokens", inner_tokens, 1), cache_tokens)
        self.inner_rate = inner_rate
        self._draws = PositionDraws(streams, "inner acceptance", beyond=self.tokens + inner_tokens + 1)

    def drafts(self, view: View) -> list[Draft]:
        return [self._draft(s) for s in view.sequences]

    def _draft(self, sequence: Sequence) -> Draft:
        """Rounds until enough tokens have passed; each gives the accepted ones and the inner level's own next."""
        assert self.inner is not None
        numbers, tokens, rounds = self._draws.of(sequence), 0, 0
        while tokens < self.tokens:
            at = sequence.generated + tokens
            missed = numbers[at : at + self.inner.tokens] >= self.inner_rate
            tokens += (int(missed.argmax()) if missed.any() else self.inner.tokens) + 1
            rounds += 1
        return chain(tokens, rounds)
