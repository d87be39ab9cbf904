"""Where the time of a run's iterations goes, operator by operator.

The recorded iterations of a pool and kind are cut into groups of like duration, the mean iteration of each is explained
as `simulator explain` does, and its parts are given the seconds that were recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.engine.breakdown import Part, iteration_parts
from simulator.engine.deployment import Deployment
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.report.serving.usage import Rows, pool_rows

if TYPE_CHECKING:
    from simulator.experiment import Result

# Kinds of iteration by whether they hold prompts and decoding sequences.
KINDS = {
    "prompts only": (True, False),
    "mixed": (True, True),
    "decode only": (False, True),
    "no requests": (False, False),
}
GROUPS = 8
BISECTIONS = 24
# Parts that come nearer than this to the recorded time differ by the rounding of a mean iteration to whole sequences.
ROUNDING = 0.1
OTHER = "work besides the model's operators"


@dataclass(frozen=True, slots=True)
class Spent:
    """Replica-seconds that a run spent in one operator, in iterations of one of `KINDS`; see `Part` for the rest."""

    kind: str
    name: str
    family: str
    bound: str
    seconds: float


def step_time(result: Result) -> list[Spent]:
    """What all replicas' iterations were spent on, of every pool; the seconds add up to those recorded.

    What the operators of an iteration do not explain (drafts, fine-tuning beside, waits between pipeline stages) is
    named `OTHER`; operators that overlap share the time that they took together. Empty where iterations were not kept.
    """
    found: dict[tuple[str, str, str, str], float] = {}
    runs = [result] if result.calls is None else list(result.calls.pools.values())
    for pool, rows in (each for run in runs for each in pool_rows(run)):
        for kind, (prompts, decodes) in KINDS.items():
            mine = ((rows["prefill_tokens"] > 0) == prompts) & ((rows["decode_sequences"] > 0) == decodes)
            for group in _groups(rows, mine):
                for spent in _explained(pool.deployment, kind, {name: column[group] for name, column in rows.items()}):
                    key = spent.kind, spent.name, spent.family, spent.bound
                    found[key] = found.get(key, 0.0) + spent.seconds
    return [Spent(*key, seconds) for key, seconds in found.items()]


def by(spent: Sequence[Spent], field: str) -> dict[str, float]:
    """Seconds by a field of `Spent`, the most first."""
    total: dict[str, float] = {}
    for one in spent:
        name = getattr(one, field)
        total[name] = total.get(name, 0.0) + one.seconds
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def _groups(rows: Rows, mine: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Rows of a kind in groups of about equal time, iterations of like duration together."""
    index = np.flatnonzero(mine)
    seconds = (rows["end_s"] - rows["start_s"])[index]
    order = np.argsort(seconds / rows["steps"][index], kind="stable")
    total = np.cumsum(seconds[order])
    if len(index) and total[-1] > 0.0:
        group = np.minimum(total / total[-1] * GROUPS, GROUPS - 1).astype(np.int64)
        yield from (index[order[group == g]] for g in np.unique(group))


def _explained(deployment: Deployment, kind: str, rows: Rows) -> Iterator[Spent]:
    """The parts of the mean iteration of these rows, with the seconds that all of them took."""
    recorded, steps = float((rows["end_s"] - rows["start_s"]).sum()), float(rows["steps"].sum())
    parts = _mean_parts(deployment, rows)
    predicted = sum(part.seconds for part in parts) * steps
    scale = recorded / predicted if 0.0 < recorded <= predicted * (1.0 + ROUNDING) else 1.0
    for part in parts:
        yield Spent(kind, part.name, part.family, part.bound, part.seconds * steps * scale)
    rest = recorded - predicted * scale
    if rest > 1e-9 * recorded:
        yield Spent(kind, OTHER, "other", "other", rest)


def _mean_parts(deployment: Deployment, rows: Rows) -> list[Part]:
    """Parts of the iteration with the mean batch of these rows; none where an iteration cannot be explained.

    The cached tokens of its sequences are those at which attention does the recorded work.
    """
    steps = rows["steps"]
    work = float(rows["attention_flops"].sum() / steps.sum())
    decoding, prompts, new = (
        math.ceil(float(np.average(rows[name], weights=steps)) - 0.5)
        for name in ("decode_sequences", "prefill_sequences", "prefill_tokens")
    )
    prompts = max(prompts, 1) if new else 0
    decoding = max(decoding, 1) if rows["decode_sequences"].any() else 0

    def batch(cached: int) -> tuple[list[tuple[int, int]], list[int]]:
        mine, theirs = (0, cached) if decoding else (cached, 0)
        sizes = [new // prompts + (i < new % prompts) for i in range(prompts)]
        return [(mine, size) for size in sizes if size], [theirs] * decoding

    if not prompts and not decoding:
        return []
    cached = _least(lambda c: _attention_flops(deployment.timer, *batch(c)) >= work)
    try:
        return iteration_parts(deployment, prefill=batch(cached)[0], decode=batch(cached)[1])
    except InputError:
        return []


def _attention_flops(timer: StepTimer, prefill: list[tuple[int, int]], decode: list[int]) -> float:
    contexts = [(sum(span.attended(c + 1) for c in decode), len(decode)) for span in timer.spans]
    return timer.attention_work(contexts, 1, timer.chunks(prefill))[0]


def _least(enough: Callable[[int], bool]) -> int:
    """The smallest number of tokens that is enough, below a bound that no context reaches."""
    low, high = 0, 1 << BISECTIONS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low if enough(low) else 0
