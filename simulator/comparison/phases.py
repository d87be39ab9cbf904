"""Where the time of a request goes: waiting, its prompt, and what its decoding waits for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats
from simulator.experiment import Result

PHASES = {
    "queue": "waiting for its first iteration",
    "prefill": "from its first iteration to its first token",
    "stalled": "decoding held up by iterations of prompts only",
    "mixed": "decoding in iterations that also compute prompts",
    "decode": "decoding in iterations of decoding only",
}


def phases(result: Result) -> dict[str, Floats]:
    """Seconds (shape (requests,)) of each phase of `PHASES`; they add up to E2E.

    From the first token on, time is told apart by what the request's replica computes; the lanes of a pipeline
    count by their share. Time after a preemption is counted the same way.
    """
    c, rows = result.request_columns, result.iteration_columns
    prompts, decodes = rows["prefill_tokens"] > 0, rows["decode_sequences"] > 0
    decoding = c["finish_s"] - c["first_token_s"]
    stalled = _during(result, prompts & ~decodes)
    mixed = _during(result, prompts & decodes)
    return {
        "queue": c["scheduled_s"] - c["arrival_s"],
        "prefill": c["first_token_s"] - c["scheduled_s"],
        "stalled": stalled,
        "mixed": mixed,
        "decode": decoding - stalled - mixed,
    }


def _during(result: Result, kind: NDArray[np.bool_]) -> Floats:
    """Seconds that each request's replica spends in iterations of a kind between its first and last token."""
    c, rows = result.request_columns, result.iteration_columns
    lanes = result.deployment.parallel.pipeline
    found = np.zeros(len(c["index"]))
    for replica in np.unique(c["replica"]):
        mine, chosen = c["replica"] == replica, kind & (rows["replica"] == replica)
        start, end = rows["start_s"][chosen], rows["end_s"][chosen]
        spent = [elapsed(start, end, c[name][mine]) for name in ("first_token_s", "finish_s")]
        found[mine] = (spent[1] - spent[0]) / lanes
    return found


def elapsed(start: Floats, end: Floats, at: Floats) -> Floats:
    """Seconds (shape of `at`) that lie in intervals from `start` to `end` before each time of `at`.

    Where intervals overlap, each counts.
    """
    if not len(start):
        return np.zeros(len(at))
    times = np.concatenate([start, end])
    order = np.argsort(times, kind="stable")
    times = times[order]
    level = np.cumsum(np.repeat([1.0, -1.0], len(start))[order])
    area = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times))])
    return np.asarray(np.interp(at, times, area), dtype=np.float64)
