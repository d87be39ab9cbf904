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
    if job.recompute != "selective" or step.offloaded is not None or step.copied is not None or step.mixed is not None:
        return None
    plain = replace(step, job=replace(job, recompute="none"))
    more = max(stage_memory(step, s).total - stage_memory(plain, s).total for s in range(job.layout.pipeline))
    if more < 0.0:
        return None
    fused = " beside fused attention, which keeps no scores" if job.fused_attention else ""
    return (
        f"recompute selective saves no memory{fused}: a device needs {more / 1e9:.3g} GB more than with recompute "
        "none, which computes nothing again"
    )
