"""Any named network in the steps of a sampler: diffusion, or rounds of filling in masked tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.errors import InputError
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.graph import Model
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    network: str,
    options: Mapping[str, Any] | None = None,
    steps: float = 50,
    guidance: bool = False,
) -> Model:
    """`network` by name with `options` of its family, once in each of `steps`; encoders and decoders are left out.

    Classifier-free `guidance` runs it on twice the batch, with the prompt and without. Raises `InputError` for a
    network of several parts, whose steps are its own.
    """
    found = graph_model(network, batch * (2 if guidance else 1), format, **(options or {}))
    if len(found.parts) > 1:
        raise InputError(f"network: {network} has steps of its own: name it as the model, or give a single network")
    return Model(network, (replace(found.parts[0], times=float(steps)),))
