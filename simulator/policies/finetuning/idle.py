"""Fine-tuning only where there is nothing to serve, or not at all on the replicas that serve."""

from __future__ import annotations

from simulator.policies.finetuning.views import FOREVER, Outlook


class Idle:
    """One window at a time while there are no requests; one that comes waits for the end of the window."""

    def alone(self, outlook: Outlook, *, serving: bool) -> int:
        """A window, unless there are requests."""
        return 0 if serving else min(outlook.window_tokens, outlook.pass_tokens)

    def beside(self, outlook: Outlook) -> int:
        """None."""
        return 0

    def holds_for(self) -> int:
        """All."""
        return FOREVER

    def served(self, iterations: int) -> None:
        """Nothing is counted."""


class NoFinetuning:
    """The replicas that serve do nothing else, as where other devices fine-tune."""

    def alone(self, outlook: Outlook, *, serving: bool) -> int:
        """None."""
        return 0

    def beside(self, outlook: Outlook) -> int:
        """None."""
        return 0

    def holds_for(self) -> int:
        """All."""
        return FOREVER

    def served(self, iterations: int) -> None:
        """Nothing is counted."""
