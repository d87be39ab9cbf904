"""An operator graph that runs on one device: any model, no requests."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from simulator.errors import InputError
from simulator.specs.memory import MemorySpec
from simulator.specs.part import Count, Part
from simulator.specs.validating import validated


class OnnxSpec(Part):
    """A model in an ONNX file; `sizes` give its open dimensions numbers by their names.

    A dimension without a name goes by its input and place ("x[0]"); one that is named as a batch has the scenario's.
    """

    onnx: str
    """Path of the ONNX file."""
    sizes: dict[str, Count] = Field(default_factory=dict)


# Names under which exporters leave the batch of a model open.
BATCH_NAMES = ("batch", "batch_size", "N", "n", "B", "bs")


class FamilySpec(Part):
    """A model of a built-in family by its options, such as widths, depths and resolution."""

    family: str
    """The family by name, as `simulator list graphs` shows them."""
    options: dict[str, Any] = Field(default_factory=dict)


class RewriteSpec(Part):
    """A rewrite of the graph by name or `module:Class`, and its options."""

    policy: str
    options: dict[str, Any] = Field(default_factory=dict)


class ParallelSpec(Part):
    """Several equal devices that share the steps of a model, by a policy of how."""

    policy: str = "patches"
    devices: Count = 2
    """Devices that share the steps."""
    options: dict[str, Any] = Field(default_factory=dict)


class InferenceScenario(Part):
    """One forward pass of a model on a device under a runtime.

    `options` change those of a named model. Rewrites run in their order, before those of the runtime. What runs several
    times (the steps of a sampler) is shared by the devices of `parallel`. Of a processor `threads` cores compute,
    without it all. Without `memory` activations are counted in the graph's order, and nothing is paged.
    """

    kind: Literal["inference"] = "inference"
    name: str = ""
    model: str | OnnxSpec | FamilySpec
    options: dict[str, Any] = Field(default_factory=dict)
    device: str
    runtime: str = "compiled"
    """The runtime whose kernels and overheads run the graph, by name or as the path of a file."""
    threads: Count | None = None
    batch: Count = 1
    """Samples in one pass."""
    format: str = "fp32"
    """Number format that the graph computes in."""
    rewrites: list[RewriteSpec] = Field(default_factory=list)
    parallel: ParallelSpec | None = None
    calibration: str | None = None
    calibrated: bool = True
    """Whether measurements of this device itself are used; without, its relatives' are."""
    memory: MemorySpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_batch(cls, values: Any) -> Any:
        """A batch among the sizes of an ONNX file's dimensions is the scenario's batch."""
        model = values.get("model") if isinstance(values, dict) else None
        sizes = model.get("sizes") if isinstance(model, dict) else model.sizes if isinstance(model, OnnxSpec) else None
        if not isinstance(sizes, dict):
            return values
        for name in BATCH_NAMES:
            if name in sizes and values.get("batch", sizes[name]) != sizes[name]:
                raise InputError(f"batch and model.sizes.{name} are one and the same: leave one of them out")
            if name in sizes:
                values = {**values, "batch": sizes[name]}
        return values

    @field_validator("model", mode="before")
    @classmethod
    def _one_form(cls, given: Any) -> Any:
        """Complain about the form of model that the user has meant, not about all that there are."""
        if not isinstance(given, dict):
            return given
        return validated(OnnxSpec if "onnx" in given else FamilySpec, given, "a model")
