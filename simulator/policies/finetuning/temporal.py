"""Requests and fine-tuning take turns on the whole device."""

from __future__ import annotations

from simulator.policies.finetuning.views import Outlook


class Temporal:
    """After `iterations` iterations of requests, one whole sequence is computed forward and backward, alone.

    Requests wait meanwhile. Without requests fine-tuning goes on, a sequence at a time. The baseline of temporal
    sharing in FlexLLM, arXiv:2402.18789, with a fixed frequency.
    """

    def __init__(self, *, iterations: int = 128) -> None:
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}: give 1 or more")
        self.iterations = iterations
        self._left = iterations

    def alone(self, outlook: Outlook, *, serving: bool) -> int:
        """The rest of a sequence, when it is its turn or there is nothing else to do."""
        if serving and self._left:
            return 0
        self._left = self.iterations
        return outlook.remaining_tokens

    def beside(self, outlook: Outlook) -> int:
        """None."""
        return 0

    def holds_for(self) -> int:
        """Those until the next turn."""
        return self._left

    def served(self, iterations: int) -> None:
        """Bring the next turn nearer."""
        self._left -= iterations
