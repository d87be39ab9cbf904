"""Which earlier tokens an attention layer looks at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Which earlier tokens a layer attends to: all (`tokens` None), the last `tokens`, or its own chunk of them."""

    tokens: int | None = None
    chunked: bool = False

    def attended(self, position: int) -> int:
        """Tokens that the token at 1-based `position` attends to, itself included."""
        if self.tokens is None:
            return position
        if self.chunked:
            return (position - 1) % self.tokens + 1
        return min(position, self.tokens)

    def pairs(self, cached: int, new: int) -> int:
        """(query, attended) pairs of `new` tokens that follow `cached` ones, causally."""
        return self._pairs_up_to(cached + new) - self._pairs_up_to(cached)

    def _pairs_up_to(self, n: int) -> int:
        size = self.tokens
        if size is None or n <= size:
            return n * (n + 1) // 2
        if self.chunked:
            whole, rest = divmod(n, size)
            return whole * (size * (size + 1) // 2) + rest * (rest + 1) // 2
        return size * (size + 1) // 2 + (n - size) * size

    def context(self, cached: int, new: int) -> int:
        """Cached tokens, the new ones included, that a pass over `new` tokens has to read."""
        total = cached + new
        if self.tokens is None:
            return total
        if self.chunked:
            return min(total, new + cached % self.tokens)
        return min(total, new + self.tokens - 1)

    @property
    def window(self) -> int | None:
        """The window that costs as much: a token of a chunk sees half the chunk on average."""
        return self.tokens // 2 if self.chunked and self.tokens is not None else self.tokens
