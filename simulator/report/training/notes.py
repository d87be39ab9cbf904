"""What a user should know of a step beside its figures, in sentences."""

from __future__ import annotations

from dataclasses import replace

from simulator.engine.training.memory import stage_memory
from simulator.engine.training.step import Step


def notes(step: Step) -> list[str]:
    """One sentence for each choice of the scenario that brings nothing."""
    return [note for note in (_useless_recomputation(step),) if note]


def _useless_recomputation(step: Step) -> str | None:
    """Fused attention keeps no scores, which are all that selective recomputation leaves out."""
    job = step.job
    if job.recompute != "selective" or step.offloaded is not None or step.copied is not None:
        return None
    more = max(_more_than_without(step.part(s), s) for s in range(job.layout.pipeline))
    if more < 0.0:
        return None
    fused = " beside fused attention, which keeps no scores" if job.fused_attention else ""
    return (
        f"recompute selective saves no memory{fused}: a device needs {more / 1e9:.3g} GB more than with recompute "
        "none, which computes nothing again"
    )


def _more_than_without(step: Step, stage: int) -> float:
    """Bytes that a device of a stage needs more than if nothing were computed again."""
    plain = replace(step, job=replace(step.job, recompute="none"))
    return stage_memory(step, stage).total - stage_memory(plain, stage).total
