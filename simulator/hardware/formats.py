"""Which arithmetic a device has for a format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

# A format without units of its own is computed in the nearest wider one, as libraries do.
FALLBACK_FORMATS = {
    "nvfp4": ("fp8", "bf16", "fp16", "fp32"),
    "fp8": ("bf16", "fp16", "fp32"),
    "int4": ("int8", "bf16", "fp16", "fp32"),
    "int8": ("int16", "bf16", "fp16", "fp32"),
    "binary": ("int8", "int16", "bf16", "fp16", "fp32"),
    "int16": ("fp32",),
    "bf16": ("fp16", "fp32"),
    "fp16": ("bf16", "fp32"),
}


class HasPeaks(Protocol):
    """Anything with peaks by format."""

    @property
    def peak_flops(self) -> Mapping[str, float]: ...


def peak_of(device: HasPeaks, compute: str) -> float | None:
    """Peak FLOP/s for a format, or for the nearest wider one that the device has; None if it has neither."""
    peaks = device.peak_flops
    return next((peaks[name] for name in (compute, *FALLBACK_FORMATS.get(compute, ())) if name in peaks), None)


def format_on(known: Mapping[str, float], compute: str) -> str | None:
    """The format that stands for `compute` among those known: itself or the nearest wider one; None if neither."""
    return next((name for name in (compute, *FALLBACK_FORMATS.get(compute, ())) if name in known), None)
