"""What a fine-tuning policy is asked, and what it may ask."""

from __future__ import annotations

from typing import Protocol

FOREVER = 1 << 60


class Outlook(Protocol):
    """The next iteration as a policy sees it: requests that are decided on, fine-tuning tokens that are not.

    A token of the backward pass is a token through all layers backward, whichever (token, layer) pairs these are.
    """

    @property
    def sequence_tokens(self) -> int:
        """Tokens of each sequence."""
        ...

    @property
    def remaining_tokens(self) -> int:
        """Tokens until the sequence in work is done, forward and backward each counted."""
        ...

    @property
    def pass_tokens(self) -> int:
        """Tokens until the pass in work, forward or backward, is done."""
        ...

    @property
    def window_tokens(self) -> int:
        """The most tokens that share an iteration with requests."""
        ...

    def seconds(self, tokens: int) -> float:
        """Seconds of the iteration with so many fine-tuning tokens."""
        ...


class FinetuningPolicy(Protocol):
    """Decides how many fine-tuning tokens an iteration takes."""

    def alone(self, outlook: Outlook, *, serving: bool) -> int:
        """Tokens of an iteration without requests; 0 serves those that are there (`serving`), or waits for some."""
        ...

    def beside(self, outlook: Outlook) -> int:
        """Tokens beside the requests of an iteration, `window_tokens` of it at most."""
        ...

    def holds_for(self) -> int:
        """Iterations of requests that a decision for no tokens holds for, this one included."""
        ...

    def served(self, iterations: int) -> None:
        """So many iterations of requests have ended without fine-tuning tokens."""
        ...
