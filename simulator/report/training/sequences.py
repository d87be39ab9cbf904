"""Where the time of long sequences and of experts goes: attention, waiting for rings, all-to-all exchanges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from simulator.workloads.operators import Call, Collective, Round, Rounds
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.expert_blocks import ExpertBlocks
from simulator.workloads.training.job import Job
from simulator.workloads.transformer import Experts, Transformer

if TYPE_CHECKING:
    from simulator.engine.training.step import Step

SCORES = ("attention scores", "softmax", "attention dropout", "attention over values")
SUM = "context gradient sum"


def computed(calls: Iterable[Call]) -> Iterator[Call]:
    """Calls with the operators of rounds in place of the rounds."""
    for call in calls:
        if isinstance(call.op, Rounds):
            yield from (Call(call.name, op, count * call.count) for op, count in call.op.leaves())
        else:
            yield call


def exchanged(call: Call) -> bool:
    """Whether a call is a collective over ranks that share a sequence or experts."""
    return isinstance(call.op, Collective) and (call.op.pattern == "all_to_all" or call.name == SUM)


def exposed_seconds(step: Step, calls: Iterable[Call]) -> dict[str, float]:
    """Seconds in which a device only waits for exchanges: `ring_wait` and `all_to_all`, where there are such."""
    found: dict[str, float] = defaultdict(float)
    for call in calls:
        if isinstance(call.op, Rounds):
            work = sum(step.of(op) * count for op, count in call.op.leaves())
            found[_kind(call.op)] += (step.of(call.op) - work) * call.count
        elif exchanged(call):
            found["ring_wait" if call.name == SUM else "all_to_all"] += step.of(call.op) * call.count
    return dict(found)


def attention_seconds(step: Step, calls: Iterable[Call]) -> float:
    """Seconds of computing attention proper, projections left out."""
    parts = (c for c in computed(calls) if c.op.kind == "attention" or c.name in SCORES)
    return sum(step.of(c.op) * c.count for c in parts)


def experts_figures(step: Step) -> dict[str, float | int] | None:
    """How a layer's experts fare in one micro-batch's passes, None for a model without.

    `layer_s` are the seconds of one layer from router to combination, forward and backward, of which `all_to_all_share`
    is waiting for exchanges; `imbalance` is the busiest rank's load over the mean and `dropped_share` of the visits
    finds no room.
    """
    job = step.job
    kinds = _experts(job)
    if not kinds:
        return None
    experts, routing = kinds[0], job.routing
    blocks = list(ExpertBlocks(job, experts, Blocks(job).between).blocks())
    calls = [Call(b.name, op) for b in blocks for op in (*b.forward, *b.inputs, *b.weights)]
    seconds = step.seconds(calls)
    return {
        "layer_s": seconds,
        "all_to_all_share": exposed_seconds(step, calls).get("all_to_all", 0.0) / seconds,
        "parts": routing.parts or 1,
        "imbalance": routing.rows(experts, job.layout.expert) / routing.rows(experts, 1),
        "dropped_share": routing.dropped(experts),
    }


def useful_share(job: Job[Any], name: str) -> float:
    """Share of a call's products that the model needs: none of a routing mask's, of experts' rows those of visits.

    Visits that find no room are not computed, and are not counted.
    """
    if name.endswith("einsum"):
        return 0.0
    experts = next(iter(_experts(job)), None)
    if experts is None or not name.startswith("expert"):
        return 1.0
    visits = experts.top_k * (1.0 - job.routing.dropped(experts))
    return visits / job.routing.rows(experts, job.layout.expert)


def _experts(job: Job[Any]) -> list[Experts]:
    layers = job.model.layers if isinstance(job.model, Transformer) else ()
    return [x.ffn for x in layers if isinstance(x.ffn, Experts)]


def _kind(op: Rounds) -> str:
    return "all_to_all" if any(_exchanges(each) for each in op.rounds) else "ring_wait"


def _exchanges(each: Round) -> bool:
    return any(s.transfer.pattern == "all_to_all" for s in each.sends)
