"""What happened, in columns: cheap to write while simulating, arrays when done."""

from __future__ import annotations

from array import array
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.policies.sequence import Sequence

Floats = NDArray[np.float64]

REQUEST_COLUMNS = (
    "index", "replica", "arrival_s", "scheduled_s", "first_token_s", "finish_s", "prompt_tokens", "output_tokens",
    "cached_tokens", "preemptions",
)  # fmt: skip
ITERATION_COLUMNS = (
    "start_s", "end_s", "replica", "steps", "decode_sequences", "prefill_tokens", "prefill_sequences",
    "attention_flops", "attention_bytes", "running", "waiting", "kv_blocks_used",
)  # fmt: skip


class TokenGaps(Protocol):
    """What is told of the time between one token of a sequence and the next."""

    def add(self, seconds: Floats, weight: int) -> None:
        """Count each duration `weight` times."""
        ...

    @property
    def total(self) -> int: ...

    def quantile(self, q: float) -> float: ...


class LogHistogram:
    """Counts of positive durations in bins of equal ratio: quantiles within 0.1 %, whatever the order or number."""

    RATIO = 1.002
    LOWEST = 1e-7

    def __init__(self) -> None:
        self.counts = np.zeros(16384, dtype=np.int64)
        self._pending: list[Floats] = []
        self._weights: list[int] = []
        self._size = 0

    def add(self, seconds: Floats, weight: int) -> None:
        """Count each duration `weight` times."""
        self._pending.append(seconds)
        self._weights.append(weight)
        self._size += len(seconds)
        if self._size > 1 << 20:
            self.flush()

    def flush(self) -> None:
        """Sort what is pending into its bins."""
        if not self._pending:
            return
        lengths = [len(p) for p in self._pending]
        values = np.concatenate(self._pending)
        bins = np.log(np.maximum(values, self.LOWEST) / self.LOWEST) / np.log(self.RATIO)
        index = np.minimum(bins, len(self.counts) - 1).astype(np.int64)
        weights = np.repeat(np.asarray(self._weights, dtype=np.int64), lengths)
        self.counts += np.bincount(index, weights=weights, minlength=len(self.counts)).astype(np.int64)
        self._pending, self._weights, self._size = [], [], 0

    @property
    def total(self) -> int:
        """Durations counted."""
        self.flush()
        return int(self.counts.sum())

    def quantile(self, q: float) -> float:
        """The duration below which a share `q` of them lies; NaN where there are none."""
        self.flush()
        cumulative = np.cumsum(self.counts)
        if cumulative[-1] == 0:
            return float("nan")
        index = int(np.searchsorted(cumulative, q * cumulative[-1]))
        return float(self.LOWEST * self.RATIO ** (index + 0.5))


class Recorder:
    """Rows of finished requests and of iterations; an iteration row may stand for many equal decode steps."""

    def __init__(self, *, iterations: bool = True) -> None:
        self.keep_iterations = iterations
        self.inter_token: TokenGaps = LogHistogram()
        self._requests = array("d")
        self._iterations = array("d")

    def finish(self, sequence: Sequence, time: float) -> None:
        """A sequence gave its last token at `time`."""
        self._requests.extend(
            (
                sequence.index, sequence.replica, sequence.arrival, sequence.scheduled, sequence.first_token, time,
                sequence.prompt_tokens, sequence.output_tokens, sequence.cached_tokens, sequence.preemptions,
            )
        )  # fmt: skip

    def iteration(self, row: tuple[float, ...]) -> None:
        """One iteration, or a run of decode steps, in the order of `ITERATION_COLUMNS`."""
        if self.keep_iterations:
            self._iterations.extend(row)

    @property
    def rows(self) -> int:
        """Rows of iterations that are kept."""
        return len(self._iterations) // len(ITERATION_COLUMNS)

    @property
    def finished(self) -> int:
        """Requests that have finished."""
        return len(self._requests) // len(REQUEST_COLUMNS)

    def requests(self) -> dict[str, Floats]:
        """Finished requests by column, in the order of the trace."""
        table = np.frombuffer(self._requests, dtype=np.float64).reshape(-1, len(REQUEST_COLUMNS))
        order = np.argsort(table[:, 0], kind="stable")
        return {name: table[order, i] for i, name in enumerate(REQUEST_COLUMNS)}

    def iterations(self) -> dict[str, Floats]:
        """Iterations by column, in the order in which they ended."""
        table = np.frombuffer(self._iterations, dtype=np.float64).reshape(-1, len(ITERATION_COLUMNS))
        return {name: table[:, i] for i, name in enumerate(ITERATION_COLUMNS)}
