"""Workers that wait for all others after every step."""

from __future__ import annotations


class BulkSynchronous:
    """One update of the model with the sum of all workers' gradients (Valiant, CACM 33(8), 1990)."""

    def gathered(self, workers: int) -> int:
        return workers

    def may_begin(self, ahead: int) -> bool:
        return ahead == 0
