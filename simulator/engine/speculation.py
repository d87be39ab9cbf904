"""One iteration with speculation: the drafting before it, the verification in it, and how long both take."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.engine.drafter import Drafter
from simulator.engine.query_pass import Ints, Pass, Queries
from simulator.engine.recorder import Floats
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.policies.sequence import Sequence
from simulator.policies.speculation.acceptance import AcceptanceLaw
from simulator.policies.speculation.draws import PositionDraws
from simulator.policies.speculation.plan import Draft, Inner, SpeculationPolicy
from simulator.workloads.parallelism import Parallelism

# What an iteration row gains where speculation is on, in the units of its name; tokens are counts.
COLUMNS = (
    "draft_tokens", "examined_tokens", "accepted_tokens", "decode_tokens", "wasted_draft_tokens", "drafting_sequences",
    "draft_s", "draft_flops", "draft_bytes",
)  # fmt: skip


class SpeculationRecord:
    """Columns of `COLUMNS` for each iteration, in the order of the recorder's rows, and what they add up to."""

    def __init__(self, *, iterations: bool = True) -> None:
        self.keep_iterations = iterations
        self.totals = dict.fromkeys((*COLUMNS, "decode_steps", "seconds"), 0.0)
        self._rows = array("d")

    def add(self, row: tuple[float, ...], decode_steps: int, seconds: float) -> None:
        """One iteration of `seconds` in which `decode_steps` sequences took a step."""
        for name, value in zip(COLUMNS, row, strict=True):
            self.totals[name] += value
        self.totals["decode_steps"] += decode_steps
        self.totals["seconds"] += seconds
        if self.keep_iterations:
            self._rows.extend(row)

    def columns(self) -> dict[str, Floats]:
        """The rows by column."""
        table = np.frombuffer(self._rows, dtype=np.float64).reshape(-1, len(COLUMNS))
        return {name: table[:, i] for i, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True)
class Speculation:
    """What the lanes of a run share; `policy` builds one for each. With `asynchronous`, drafts are written ahead.

    With more than one run `in_flight`, several are verified one behind the other in the stages of a pipeline.
    """

    policy: Callable[[], SpeculationPolicy]
    drafter: Drafter
    acceptance: AcceptanceLaw
    draws: PositionDraws
    record: SpeculationRecord
    asynchronous: bool = False
    in_flight: int = 1


def check_speculation(
    policy: SpeculationPolicy,
    drafter: Drafter,
    parallel: Parallelism,
    *,
    asynchronous: bool,
    in_flight: int = 1,
    max_num_seqs: int = 1,
) -> None:
    """Raise `InputError` where drafting, verification and devices do not go together."""
    if asynchronous and drafter.device is None:
        raise InputError(
            "speculation.asynchronous needs a drafter beside the target: name its device in speculation.draft.options"
        )
    if asynchronous and policy.inner is not None:
        raise InputError("speculation.asynchronous cannot overlap a hierarchy that drafts with the target itself")
    if in_flight > 1 and not (asynchronous and parallel.pipeline > 1 and max_num_seqs == 1):
        raise InputError(
            "speculation.in_flight above 1 sends one request's runs through a pipeline: "
            "set speculation.asynchronous to true, parallel.pipeline above 1 and batching.max_num_seqs to 1"
        )
    if policy.inner is not None and parallel.pipeline > 1:
        raise InputError("hierarchical speculation needs the target on one pipeline stage: set parallel.pipeline to 1")


@dataclass(frozen=True, slots=True)
class Decoding:
    """The decoding side of an iteration: sequences, their cached tokens, what the drafter lacks, and their drafts."""

    sequences: list[Sequence]
    cached: Ints
    behind: Ints
    drafts: list[Draft]

    def at(self, places: list[int]) -> Decoding:
        """The same for the sequences at these places only."""
        return Decoding(
            [self.sequences[i] for i in places],
            self.cached[places],
            self.behind[places],
            [self.drafts[i] for i in places],
        )

    @property
    def speculates(self) -> bool:
        return any(d.widths for d in self.drafts)


def verification(target: StepTimer, drafter: Drafter, decoding: Decoding, chunks: list[tuple[int, int]]) -> list[Pass]:
    """The passes of the target over every sequence's last token and draft, and over prompt chunks."""
    count = len(decoding.sequences)
    new = np.array([1 + d.nodes for d in decoding.drafts], dtype=np.int64)
    queries = Queries(decoding.cached, new)
    rows = queries.tokens + len(chunks)
    if drafter.upper is None or not decoding.speculates:
        return [Pass(target, queries, rows, target.chunks(chunks))]
    assert drafter.timer is not None
    # The last token of a draft has not been through the lower layers yet; all others have.
    last = Queries(decoding.cached + new - 1, np.ones(count, dtype=np.int64))
    return [
        Pass(drafter.timer, last, 0, drafter.timer.chunks(chunks)),
        Pass(drafter.upper, queries, rows, drafter.upper.chunks(chunks)),
    ]


def drafting(target: StepTimer, drafter: Drafter, inner: Inner | None, decoding: Decoding) -> list[Pass]:
    """The passes that write the drafts: the drafter's alone, or in rounds with the inner level of a hierarchy."""
    if inner is None:
        return drafter.passes(decoding.cached, decoding.behind, decoding.drafts)
    found: list[Pass] = []
    for number in range(max((d.rounds for d in decoding.drafts), default=0)):
        cached = decoding.cached[[d.rounds > number for d in decoding.drafts]]
        before = cached + number * inner.tokens
        found += drafter.passes(before, np.zeros_like(before), [Draft((1,) * inner.tokens)] * len(before))
        queries = Queries(before, np.full(len(before), inner.tokens + 1)).within(inner.cache_tokens)
        found.append(Pass(target, queries, queries.tokens))
    return found


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a speculation policy sees of its lane (`View`): members, acceptance so far, and seconds by draft."""

    target: StepTimer
    drafter: Drafter
    inner: Inner | None
    asynchronous: bool
    decoding: Decoding
    acceptance_rate: float | None
    prompts: list[tuple[int, int]]

    @property
    def sequences(self) -> list[Sequence]:
        return self.decoding.sequences

    def step_seconds(self, draft: Draft) -> float:
        """Seconds of the next iteration if every sequence drafted so, prompts as in the last one."""
        d = self.decoding
        drafted = Decoding(d.sequences, d.cached, d.behind, [draft] * len(d.sequences))
        passes = drafting(self.target, self.drafter, self.inner, drafted)
        seconds = sum(p.seconds() for p in verification(self.target, self.drafter, drafted, self.prompts))
        seconds += self.target.host_seconds(len(d.sequences) + len(self.prompts))
        drafts = self.drafter.seconds(passes)
        return max(seconds, drafts) if self.asynchronous else seconds + drafts
