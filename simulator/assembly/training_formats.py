"""From the formats that a training scenario names to those that a job knows."""

from __future__ import annotations

from simulator.specs.training import AdamSpec, TrainingFormatsSpec
from simulator.workloads.dtypes import DType, dtype
from simulator.workloads.training.job import Formats
from simulator.workloads.training.kept import Kept
from simulator.workloads.training.optimizers import Optimizer, adam_in, optimizer


def formats_of(spec: TrainingFormatsSpec) -> Formats:
    """Raises `InputError` for unknown formats."""
    kept = Kept(
        *(_given(name) for name in (spec.kept.products, spec.kept.norms, spec.kept.activations, spec.kept.attention))
    )
    return Formats(
        dtype(spec.compute), dtype(spec.activations), dtype(spec.gradients), _given(spec.weights), kept
    )  # fmt: skip


def optimizer_of(spec: str | AdamSpec, formats: TrainingFormatsSpec) -> Optimizer:
    """Raises `InputError` for unknown optimisers and formats."""
    if isinstance(spec, str):
        return optimizer(spec)
    return adam_in(
        master=_given(spec.master),
        first=dtype(spec.first),
        second=dtype(spec.second),
        gradients=dtype(formats.gradients),
        weights=formats_of(formats).stored,
    )


def _given(name: str | None) -> DType | None:
    return None if name is None else dtype(name)
