"""How far fine-tuning has come on one replica: windows of the forward pass, then windows layer by layer backward.

Token-level forward windows and layer-wise backward windows: FlexLLM, arXiv:2402.18789, section on token-level
fine-tuning. The pieces of a sequence are whole numbers of (token, layer) pairs, so that nothing is lost to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Portion:
    """Fine-tuning work of one iteration.

    `forward` lists windows as (tokens before, tokens), `backward` pieces as (layer, tokens before, tokens), in the
    order in which they are done. `optimiser` is whether a step on the adapter's weights ends it.
    """

    forward: tuple[tuple[int, int], ...] = ()
    backward: tuple[tuple[int, int, int], ...] = ()
    optimiser: bool = False

    @property
    def forward_tokens(self) -> int:
        return sum(tokens for _, tokens in self.forward)

    @property
    def backward_pairs(self) -> int:
        """(token, layer) pairs of the backward pass."""
        return sum(tokens for _, _, tokens in self.backward)


class FinetuningProgress:
    """The sequences of one replica, each of `sequence_tokens`, one after the other through `layers` layers.

    A forward window has `window_tokens` at most. The optimiser steps after every `sequences_per_step` sequences.
    """

    def __init__(self, sequence_tokens: int, layers: int, window_tokens: int, sequences_per_step: int) -> None:
        self.sequence_tokens = sequence_tokens
        self.layers = layers
        self.window_tokens = window_tokens
        self.sequences_per_step = sequences_per_step
        self.sequences = 0
        self.passed = 0
        self.returned_pairs = 0

    @property
    def forward_tokens(self) -> int:
        """Tokens that have been through the forward pass, in all."""
        return self.sequences * self.sequence_tokens + self.passed

    @property
    def backward_pairs(self) -> int:
        """(token, layer) pairs that have been through the backward pass, in all."""
        return self.sequences * self.sequence_tokens * self.layers + self.returned_pairs

    @property
    def remaining_tokens(self) -> int:
        """Tokens until the sequence in work is done, forward and backward each counted."""
        return self.sequence_tokens - self.passed + -(-self._pairs_left // self.layers)

    @property
    def pass_tokens(self) -> int:
        """Tokens until the pass in work, forward or backward, is done."""
        left = self.sequence_tokens - self.passed
        return left or -(-self._pairs_left // self.layers)

    @property
    def next_window(self) -> int:
        """Tokens of a whole window, or what is left of the pass."""
        return min(self.window_tokens, self.pass_tokens)

    @property
    def _pairs_left(self) -> int:
        return self.sequence_tokens * self.layers - self.returned_pairs

    def take(self, tokens: int) -> Portion:
        """The next `tokens` tokens of work, to the end of the sequence at most; changes nothing."""
        left = self.sequence_tokens - self.passed
        forward: list[tuple[int, int]] = []
        position, budget = self.passed, min(tokens, left)
        while budget > 0:
            window = min(budget, self.window_tokens)
            forward.append((position, window))
            position, budget = position + window, budget - window
        pairs = min((tokens - min(tokens, left)) * self.layers, self._pairs_left)
        backward = self._backward(pairs)
        done = pairs == self._pairs_left and (self.sequences + 1) % self.sequences_per_step == 0
        return Portion(tuple(forward), backward, done)

    def _backward(self, pairs: int) -> tuple[tuple[int, int, int], ...]:
        """Pieces from the last layer to the first, and in a layer from the last token to the first."""
        found: list[tuple[int, int, int]] = []
        at = self.returned_pairs
        while pairs > 0:
            done, within = divmod(at, self.sequence_tokens)
            piece = min(pairs, self.sequence_tokens - within)
            found.append((self.layers - 1 - done, self.sequence_tokens - within - piece, piece))
            at, pairs = at + piece, pairs - piece
        return tuple(found)

    def advance(self, portion: Portion) -> None:
        """A portion that `take` gave has been computed."""
        self.passed += portion.forward_tokens
        self.returned_pairs += portion.backward_pairs
        if not self._pairs_left:
            self.sequences += 1
            self.passed = self.returned_pairs = 0
