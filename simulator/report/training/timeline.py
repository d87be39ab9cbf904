"""A training step as a Chrome trace, one row a stream a stage: open `timeline.json` at https://ui.perfetto.dev."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from simulator.engine.training.memory import activations_over_time
from simulator.engine.training.offloading.running import PLACES
from simulator.engine.training.step import Step
from simulator.errors import refuse_beside
from simulator.policies.pipeline import Pass
from simulator.policies.registry import policy_class
from simulator.report.trace import Event, write_trace
from simulator.specs.training import TrainingScenario

MOST_PASSES = 100_000
STREAMS = ("compute", "sends", "copies", "reduction", "optimizer")


class Span(NamedTuple):
    """What a stream of a stage does from `start` to `end` (seconds from the step's beginning)."""

    stage: int
    stream: str
    name: str
    start: float
    end: float


def refuse_untimed(scenario: TrainingScenario) -> None:
    """Raise `InputError` for a step that has no timeline."""
    layers = scenario.offload is not None and policy_class("offload", scenario.offload.policy).moves == "layers"
    refuse_beside("a timeline", {
        "sequences of different lengths": scenario.batch.lengths is not None,
        "offloading layer by layer": layers,
    })  # fmt: skip


def write_step_timeline(path: Path, step: Step, *, most_passes: int = MOST_PASSES) -> None:
    """Write the trace: a process a stage, its streams as rows.

    Where a step has more than `most_passes`, stages at even distances are shown, the first and the last among them;
    the file's metadata says which.
    """
    stages = shown_stages(step, most_passes // max(len(p) for p in step.timeline.passes))
    note = {"stages": step.job.layout.pipeline, "stages_shown": stages}
    write_trace(path, note, _events(step, stages))


def shown_stages(step: Step, most: int) -> list[int]:
    """At most so many stages (2 or more) at even distances, the first and the last among them."""
    stages = step.job.layout.pipeline
    if stages <= max(2, most):
        return list(range(stages))
    count = max(2, most) - 1
    return [round(i * (stages - 1) / count) for i in range(count + 1)]


def spans(step: Step, stages: list[int]) -> Iterator[Span]:
    """What the streams of these stages do, stage by stage."""
    if step.offloaded is not None:
        run = step.offloaded.run
        for task, start, end in zip(run.tasks, run.starts.tolist(), run.ends.tolist(), strict=True):
            yield Span(0, task.stream, task.name, start, end)
        return
    for stage in stages:
        yield from _passes(step, stage)
        yield from _copies(step, stage)
        yield from _end(step, stage)
        for copy in () if step.copies is None else step.copies.done[stage]:
            yield Span(stage, "activations up", "activations", *copy.out)
            if copy.back is not None:
                yield Span(stage, "activations down", "activations", *copy.back)


def streams_of(step: Step) -> tuple[str, ...]:
    """The rows of a stage."""
    if step.offloaded is not None:
        return tuple(dict.fromkeys(task.stream for task in step.offloaded.run.tasks))
    return STREAMS if step.copies is None else (*STREAMS, "activations up", "activations down")


def held(step: Step, stage: int) -> Iterator[tuple[str, float, float]]:
    """Where, when (seconds) and how many bytes a device of a stage holds after each change; activations without
    offloading, else all that is there.
    """
    if step.offloaded is not None:
        for place in PLACES:
            for size, when in zip(*step.offloaded.over_time(place), strict=True):
                yield place, float(when), float(size)
        return
    for size, when in zip(*activations_over_time(step, stage), strict=True):
        yield "activations", float(when), float(size)


def pass_name(each: Pass) -> str:
    """A pass with its micro-batch and chunk, counted from 0."""
    return f"{each.kind} m{each.micro_batch} c{each.chunk}"


def _passes(step: Step, stage: int) -> Iterator[Span]:
    found, last = step.timeline, len(step.passes) - 1
    pieces = step.job.layout.pieces(stage)
    columns = (found.passes[stage], found.starts[stage].tolist(), found.ends[stage].tolist())
    for each, start, end in zip(*columns, strict=True):
        yield Span(stage, "compute", pass_name(each), start, end)
        piece = pieces[each.chunk]
        leaves = piece < last if each.kind == "forward" else each.kind != "weights" and piece > 0
        seconds = step.pass_seconds.sent(each.kind, piece + (1 if each.kind == "forward" else -1)) if leaves else 0.0
        if seconds:
            yield Span(stage, "sends", f"send {pass_name(each)}", end, end + seconds)


def _copies(step: Step, stage: int) -> Iterator[Span]:
    """Activations on their way to the host and back."""
    for each in () if step.copies is None else step.copies.done[stage]:
        for name, ways in (("out", each.out), ("back", each.back)):
            if ways:
                yield Span(stage, "copies", name, *ways)


def _end(step: Step, stage: int) -> Iterator[Span]:
    """After the last pass of any stage: what still runs of exchanges, sums of shared embeddings, reduction, update."""
    passed, tied = step.timeline.seconds, step.end.tied_seconds()
    now = passed + step.tails[stage]
    if now > passed:
        yield Span(stage, "reduction", "exchanges", passed, now)
    if tied and stage in (0, step.job.layout.pipeline - 1):
        yield Span(stage, "reduction", "shared embedding", now, now + tied)
    reduced = now + tied + step.end.reduce_seconds(stage)
    if reduced > now + tied:
        yield Span(stage, "reduction", "gradients", now + tied, reduced)
    yield Span(stage, "optimizer", "update", reduced, reduced + step.end.update_seconds(stage))


def stage_name(step: Step, stage: int) -> str:
    """A stage by its number, and by its device where stages differ."""
    return f"stage {stage}" + ("" if step.mixed is None else f" ({step.part(stage).law.device.id})")


def _events(step: Step, stages: list[int]) -> Iterator[Event]:
    streams = streams_of(step)
    for stage in stages:
        yield {"ph": "M", "pid": stage, "name": "process_name", "args": {"name": stage_name(step, stage)}}
        yield {"ph": "M", "pid": stage, "name": "process_sort_index", "args": {"sort_index": stage}}
        for row, stream in enumerate(streams):
            yield {"ph": "M", "pid": stage, "tid": row, "name": "thread_name", "args": {"name": stream}}
    for span in spans(step, stages):
        yield {
            "ph": "X",
            "pid": span.stage,
            "tid": streams.index(span.stream),
            "ts": span.start * 1e6,
            "dur": (span.end - span.start) * 1e6,
            "name": span.name,
        }
    for stage in stages:
        for place, when, size in held(step, stage):
            name = f"{place} GB"
            yield {"ph": "C", "pid": stage, "ts": when * 1e6, "name": name, "args": {"GB": size / 1e9}}
