"""AcceLLM's rules for a pair of instances (Bournias et al., arXiv:2411.05555)."""

from __future__ import annotations

from simulator.policies.pairing.views import PairView


class AcceLLM:
    """Prompts go to the replica that decodes less, and afterwards decoding is shared evenly, by count and by tokens.

    The replica with fewer cached tokens computes prompts, the first of equals. When there are no more, half of the
    difference in sequences goes from the fuller replica to the other: of the movable ones in order of length, evenly
    spaced, so that short and long ones go alike and tokens are shared as sequences are.
    """

    def computes(self, pair: PairView) -> int:
        """The replica with the fewer cached tokens."""
        return int(pair.tokens(1) < pair.tokens(0))

    def moves(self, pair: PairView) -> list[int]:
        """Every so many of the fuller replica's sequences, by length."""
        less, more = sorted(pair.decoding, key=len)
        movable = sorted((d for d in more if d.movable), key=lambda d: (d.tokens, d.index))
        wanted = min((len(more) - len(less)) // 2, len(movable))
        return [movable[int((i + 0.5) * len(movable) / wanted)].index for i in range(wanted)]
