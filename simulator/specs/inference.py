"""An operator graph that runs on one device: any model, no requests."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from simulator.specs.part import Count, Part


class OnnxSpec(Part):
    """A model in an ONNX file; `sizes` give its open dimensions numbers by their names."""

    onnx: str
    sizes: dict[str, Count] = Field(default_factory=dict)


class FamilySpec(Part):
    """A model of a built-in family by its options, such as widths, depths and resolution."""

    family: str
    options: dict[str, Any] = Field(default_factory=dict)


class RewriteSpec(Part):
    """A rewrite of the graph by name or `module:Class`, and its options."""

    policy: str
    options: dict[str, Any] = Field(default_factory=dict)


class InferenceScenario(Part):
    """One forward pass of a model on a device under a runtime.

    `options` change those of a named model. Rewrites run in their order, before those of the runtime.
    """

    kind: Literal["inference"] = "inference"
    name: str = ""
    model: str | OnnxSpec | FamilySpec
    options: dict[str, Any] = Field(default_factory=dict)
    device: str
    runtime: str = "compiled"
    batch: Count = 1
    format: str = "fp32"
    rewrites: list[RewriteSpec] = Field(default_factory=list)
    calibration: str | None = None
    calibrated: bool = True
