"""Drafts of one length, whatever the load."""

from __future__ import annotations

from simulator.policies.speculation.plan import NO_DRAFT, Draft, Inner, View, chain


class NoSpeculation:
    """One token a step, by the target alone."""

    inner: Inner | None = None

    def drafts(self, view: View) -> list[Draft]:
        return [NO_DRAFT] * len(view.sequences)


class Fixed:
    """Every sequence drafts the same each step: a chain of `tokens`, or a `tree` given as nodes at each depth.

    Chains: Leviathan et al., arXiv:2211.17192. Trees: SpecInfer, arXiv:2305.09781; a tree of [4, 8] has four first
    tokens with two continuations each.
    """

    inner: Inner | None = None

    def __init__(self, *, tokens: int = 4, tree: list[int] | None = None) -> None:
        widths = [1] * whole("tokens", tokens) if tree is None else tree
        if not isinstance(widths, list) or not all(isinstance(w, int) and w >= 1 for w in widths):
            raise ValueError(f"tree is {tree!r}: give a list of nodes at each depth, such as [4, 8, 8]")
        self.draft = Draft(tuple(widths)) if widths else NO_DRAFT

    def drafts(self, view: View) -> list[Draft]:
        return [self.draft] * len(view.sequences)


class SmartSpec:
    """One length for the batch, 0 to `most_tokens`: the one of most expected tokens a second.

    Goodput is the tokens that the observed acceptance rate lets a step emit over the step's estimated seconds;
    `initial_rate` stands in until drafts have been verified (SmartSpec, arXiv:2406.14066, section 4).
    """

    inner: Inner | None = None

    def __init__(self, *, most_tokens: int = 6, initial_rate: float = 0.7) -> None:
        if not 0.0 <= initial_rate <= 1.0:
            raise ValueError(f"initial_rate is {initial_rate}: give a chance of 0 to 1")
        self.most_tokens = whole("most_tokens", most_tokens)
        self.initial_rate = initial_rate

    def drafts(self, view: View) -> list[Draft]:
        count = len(view.sequences)
        if not count:
            return []
        rate = self.initial_rate if view.acceptance_rate is None else view.acceptance_rate
        best, most = NO_DRAFT, 0.0
        tokens = 0.0
        for length in range(self.most_tokens + 1):
            tokens += rate**length  # 1 + a + ... + a^k
            goodput = tokens / view.step_seconds(chain(length))
            if goodput > most:
                best, most = chain(length), goodput
        return [best] * count


def whole(name: str, value: int, least: int = 0) -> int:
    """The value, if it is a whole number from `least` on. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1000:
        raise ValueError(f"{name} is {value!r}: give a whole number of {least} to 1000")
    return value
