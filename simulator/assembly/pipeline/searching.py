"""From the fields of a vector search to its rounds on a device and its stores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.assembly.pipeline.resources import Places
from simulator.engine.pipeline.services.search import Searching, Store
from simulator.errors import InputError
from simulator.hardware.law import TimingLaw
from simulator.hardware.runtimes import runtime
from simulator.specs.pipeline.services import LateInteractionSpec, SearchSpec
from simulator.workloads.dtypes import dtype
from simulator.workloads.late_interaction import TokenIndex, plaid, vanilla
from simulator.workloads.operators import AnyOperator
from simulator.workloads.vector_search import Round, Search, flat, graph, graph_on_drive, ivf, posting_lists


def searching(spec: SearchSpec, places: Places) -> Searching:
    """A search on a device, with its rounds of reads from memory and from a store."""
    placed = places.device(spec.device)
    law = placed.law(runtime("compiled"))
    memory = None if spec.memory is None else places.store(spec.memory)
    drive = None if spec.store is None else places.store(spec.store)
    return Searching(_rounds(spec, memory, drive), placed.resource, _seconds(law))


def late_interaction(spec: LateInteractionSpec, places: Places) -> Searching:
    """Late-interaction retrieval on a device, residuals from a store or from the device's own memory."""
    law = places.device(spec.device).law(runtime("compiled"))
    store = None if spec.store is None else places.store(spec.store)
    index = TokenIndex(
        spec.passages,
        spec.tokens,
        spec.longest,
        spec.dims,
        spec.centroids,
        spec.residual_bytes,
        dtype(spec.format),
    )
    if spec.engine == "vanilla":
        search = vanilla(index, spec.query_tokens, spec.probes, spec.candidates)
    else:
        search = plaid(index, spec.query_tokens, spec.probes, spec.candidates, spec.kept)
    seconds = _seconds(law)
    return Searching(_all(search, store), places.device(spec.device).resource, seconds)


def _seconds(law: TimingLaw) -> Callable[[AnyOperator], float]:
    return lambda op: float(np.asarray(law.seconds(op)))


def _rounds(spec: SearchSpec, memory: Store | None, drive: Store | None) -> list[tuple[Round, Store | None]]:
    if spec.index == "flat":
        return _all(flat(spec.vectors, spec.dims), None)
    if spec.index == "ivf":
        sizes = (spec.vectors, spec.dims, spec.lists, spec.probes)
        return _all(ivf(*sizes, code_bytes=spec.code_bytes, allowed=spec.allowed), None)
    if spec.index == "graph":
        return _all(graph(spec.hops, spec.degree, spec.dims, spec.number_bytes), memory)
    if spec.index == "graph-on-drive":
        if not spec.code_bytes:
            raise InputError("code_bytes is missing: index graph-on-drive keeps short codes in memory")
        return _all(graph_on_drive(spec.hops, spec.beam, spec.degree, spec.dims, spec.code_bytes), drive)
    head = graph(spec.hops, spec.degree, spec.dims, spec.number_bytes)
    (lists,) = posting_lists((), spec.probes, spec.list_vectors, spec.dims, spec.number_bytes)
    return [*_all(head, memory), (lists, drive)]


def _all(search: Search, store: Store | None) -> list[tuple[Round, Store | None]]:
    return [(round_, store) for round_ in search]
