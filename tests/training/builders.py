"""Small training jobs for tests."""

from __future__ import annotations

from typing import Any

from simulator.engine.training.laying_out import step_of
from simulator.engine.training.step import Step
from simulator.policies.pipeline import Schedule
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.training.gpt import gpt
from simulator.workloads.training.job import Formats, Job, Layout

FP16 = Formats(DTYPES["fp16"], DTYPES["fp16"], DTYPES["fp16"])


def job(
    *, layers: int = 8, hidden: int = 1024, heads: int = 16, sequence: int = 512, vocab: int = 1024, micro: int = 1,
    batch: int = 16, layout: Layout | None = None, **rest: Any,
) -> Job:  # fmt: skip
    """A GPT in fp16; anything else that a job takes goes by name."""
    model = gpt(layers=layers, hidden=hidden, heads=heads, vocab=vocab, sequence=sequence)
    return Job(model, sequence, micro, batch, layout or Layout(), FP16, **rest)


def step(given: Job, schedule: Schedule | None = None) -> Step:
    return step_of(given, "nvidia-a100-sxm-80gb", schedule=schedule)
