"""Any named network in the steps of a sampler: diffusion, or rounds of filling in masked tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.errors import InputError
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.graph import Model, Part
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
    after: Sequence[Mapping[str, Any]] = (),
) -> Model:
    """`network` by name with `options` of its family, once in each of `steps`.

    Networks `after` it, of names and options likewise, run once: a decoder, a vocoder. Classifier-free `guidance` runs
    the first on twice the batch, with the prompt and without. Raises `InputError` for networks of several parts.
    """
    first = _single(network, batch * (2 if guidance else 1), format, options or {}, float(steps))
    later = [_single(each["network"], batch, format, each.get("options", {}), 1.0) for each in after]
    return Model(network, (first, *later))


def _single(network: str, batch: Size, format: DType, options: Mapping[str, Any], times: float) -> Part:
    found = graph_model(network, batch, format, **options)
    if len(found.parts) > 1:
        raise InputError(f"network: {network} has steps of its own: name it as the model, or give a single network")
    return Part(found.parts[0].graph, times)
