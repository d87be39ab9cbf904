"""Time of many candidates at once: each distinct shape of a kernel is timed once, however many candidates share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.inference.execution import ends
from simulator.engine.inference.spending import Spent, joules, spent
from simulator.errors import InputError
from simulator.hardware.architectures import WholeGraph
from simulator.hardware.law import TimingLaw
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.operators import AnyOperator, Size

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timed:
    """Of each of `n` candidates: seconds and joules of one forward pass, shape (n,)."""

    seconds: Floats
    joules: Floats


def time_candidates(graph: Graph, law: TimingLaw, n: int, *, dispatch: float = 0.0, call: float = 0.0) -> Timed:
    """Time a graph whose sizes are arrays over `n` candidates, as `execute` times one of them."""
    architecture = law.device.architecture
    if isinstance(architecture, WholeGraph) and not architecture.separable:
        raise InputError(
            f"device {law.device.id} lays whole graphs out at once, which candidates side by side cannot show: "
            "run them one by one (kind: inference), or search on another device"
        )
    launches = kernels(graph)
    counts = np.stack([np.broadcast_to(np.asarray(k.count, dtype=np.float64), n) for k in launches])
    parts = [_one(k.op, law, n) for k in launches]
    busy = np.stack([seconds for seconds, _ in parts]) * counts
    seconds = call + ends(busy, counts, dispatch)[-1]
    taken = [each.times(c) for (_, each), c in zip(parts, counts, strict=True)]
    return Timed(seconds, joules(taken, law, seconds))


def _one(op: AnyOperator, law: TimingLaw, n: int) -> tuple[Floats, Spent]:
    """Seconds of a launch, and what it takes, for all candidates."""
    small, inverse = distinct(op, n)

    def everyone(value: Size) -> Floats:
        one = np.asarray(value, dtype=np.float64)
        return np.broadcast_to(one, n) if inverse is None else np.broadcast_to(one, inverse.max() + 1)[inverse]

    taken = spent(small, law)
    each = Spent(taken.on, everyone(taken.joules), everyone(taken.compute), everyone(taken.memory))
    return everyone(law.seconds(small)), each


def distinct(op: Any, n: int) -> tuple[Any, NDArray[np.int64] | None]:
    """An operator with each distinct combination of its sizes once, and which of them each candidate has.

    None where no size is an array.
    """
    import pandas as pd

    arrays = [np.broadcast_to(a, n) for a in _arrays(op)]
    if not arrays:
        return op, None
    codes = np.zeros(n, dtype=np.int64)
    for array in arrays:
        found, values = pd.factorize(array)
        codes, _ = pd.factorize(codes * len(values) + found)
    _, first = np.unique(codes, return_index=True)
    return _mapped(op, lambda a: np.broadcast_to(a, n)[first]), codes


def _arrays(op: Any) -> Iterator[NDArray[Any]]:
    for f in fields(op):
        value = getattr(op, f.name)
        if isinstance(value, np.ndarray) and value.ndim:
            yield value
        elif is_dataclass(value):
            yield from _arrays(value)


def _mapped(op: Any, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    changed = {}
    for f in fields(op):
        value = getattr(op, f.name)
        if isinstance(value, np.ndarray) and value.ndim:
            changed[f.name] = change(value)
        elif is_dataclass(value):
            changed[f.name] = _mapped(value, change)
    return replace(op, **changed) if changed else op
