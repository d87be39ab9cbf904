"""Latencies as a client saw them, and the figures that sum a recording up. Names carry units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.observe.stream import Answer
from simulator.workloads.requests import Floats, Requests

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Observed:
    """A load with what came of it: `answers[i]` is that to request i, `late_s` how much later than due it was sent."""

    requests: Requests
    answers: list[Answer]
    late_s: Floats | None

    @property
    def succeeded(self) -> list[int]:
        """Numbers of the requests that were answered whole, in the order in which they were sent."""
        return sorted((i for i, a in enumerate(self.answers) if a.failure is None), key=lambda i: self.answers[i].sent)

    def prompt_tokens(self, index: int) -> int:
        """As the server counted them, or as they were asked for where it did not say."""
        return int(self.answers[index].prompt_tokens or self.requests.prompt_tokens[index])

    def output_tokens(self, index: int) -> int:
        """As the server counted them, or one for each event with text where it did not say."""
        answer = self.answers[index]
        return int(answer.output_tokens or len(answer.stamps))


def seconds(answer: Answer) -> Floats:
    """Seconds from sending to each event with text (shape (events,))."""
    return (np.array(answer.stamps, dtype=np.int64) - answer.sent) / 1e9


def event_tokens(answer: Answer) -> Floats:
    """Output tokens of each event with text (shape (events,)), which add up to all of them.

    By the server's running count where it gives one, and else equal shares.
    """
    events = len(answer.stamps)
    total = float(answer.output_tokens or events)
    counted = np.diff([0, *answer.counts]).astype(np.float64)
    if all(answer.counts) and (counted > 0).all() and answer.counts[-1] <= total:
        counted[-1] += total - answer.counts[-1]
        return np.asarray(counted, dtype=np.float64)
    return np.full(events, total / events)


def token_gaps(answer: Answer) -> tuple[Floats, Floats]:
    """Inter-token latencies in seconds, and how many tokens each stands for.

    Tokens that come in one event share the time since the event before it.
    """
    tokens = event_tokens(answer)[1:]
    return np.diff(seconds(answer)) / tokens, tokens


def figures(observed: Observed) -> dict[str, Any]:
    """The summary that is printed and written to `summary.json`."""
    answers, kept = observed.answers, observed.succeeded
    sent = np.array([answers[i].sent for i in kept], dtype=np.int64)
    ended = np.array([answers[i].stamps[-1] for i in kept], dtype=np.int64)
    span = max(float(ended.max() - sent.min()) / 1e9, 1e-9)
    prompt = sum(observed.prompt_tokens(i) for i in kept)
    output = sum(observed.output_tokens(i) for i in kept)
    failed = Counter(a.failure for a in answers if a.failure is not None)
    late = {} if observed.late_s is None else {"sent_late_ms": _statistics(observed.late_s)}
    return {
        "requests": {"sent": len(answers), "succeeded": len(kept), "failed": sum(failed.values()), "reasons": failed},
        "duration_s": span,
        "throughput": {"requests_per_s": len(kept) / span, "output_tokens_per_s": output / span},
        "tokens": {
            "prompt": prompt,
            "prompt_asked": int(observed.requests.prompt_tokens[kept].sum()),
            "output": output,
            "output_asked": int(observed.requests.output_tokens[kept].sum()),
            "counted_by_server": all(answers[i].output_tokens is not None for i in kept),
        },
        "latency_ms": _latencies(observed, kept),
        **late,
    }


def _latencies(observed: Observed, kept: Sequence[int]) -> dict[str, dict[str, float]]:
    answers = [observed.answers[i] for i in kept]
    ttft = np.array([seconds(a)[0] for a in answers])
    e2e = np.array([seconds(a)[-1] for a in answers])
    further = np.array([observed.output_tokens(i) - 1 for i in kept])
    gaps = [token_gaps(a) for a in answers]
    itl, weights = (np.concatenate([pair[n] for pair in gaps]) for n in (0, 1))
    tpot = (e2e - ttft)[further > 0] / further[further > 0]
    return {
        "ttft": _statistics(ttft),
        "itl": _statistics(np.repeat(itl, np.maximum(np.rint(weights), 1).astype(np.int64))),
        "tpot": _statistics(tpot),
        "e2e": _statistics(e2e),
    }


def _statistics(values: Floats) -> dict[str, float]:
    if not len(values):
        return {}
    ms = values * 1e3
    levels = np.percentile(ms, PERCENTILES).tolist()
    named = {f"p{p}": level for p, level in zip(PERCENTILES, levels, strict=True)}
    return {"mean": float(ms.mean()), **named, "max": float(ms.max())}
