"""Metrics over time as OpenMetrics text (openmetrics.io, version 1.0.0), each sample with its timestamp."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STAMP = "\0"  # stands for the timestamp in a template; no label can hold it


@dataclass(frozen=True, slots=True)
class Points:
    """One value a scrape of a gauge or a counter (shape (scrapes,)) under these labels."""

    labels: Mapping[str, str]
    values: Floats | Ints


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram at each scrape: sums, and observations up to each edge and in all (shape (scrapes, edges + 1))."""

    labels: Mapping[str, str]
    edges: tuple[float, ...]
    counts: Ints
    sums: Floats


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: `kind` is "gauge", "counter" (named without _total) or "histogram" (its series are `Buckets`)."""

    name: str
    kind: str
    help: str
    series: tuple[Points | Buckets, ...]


def exposition(families: Iterable[Family], stamps: Floats) -> Iterator[str]:
    """The text in pieces; `stamps` (shape (scrapes,)) are seconds since 1970."""
    written = [f"{stamp:.3f}" for stamp in stamps.tolist()]
    for family in families:
        yield f"# TYPE {family.name} {family.kind}\n# HELP {family.name} {_escaped(family.help)}\n"
        for series in family.series:
            if isinstance(series, Buckets):
                yield from _histogram(family.name, series, written)
            else:
                yield _points(family, series, written)
    yield "# EOF\n"


def _points(family: Family, points: Points, stamps: list[str]) -> str:
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    head = f"{name}{_labels(points.labels)} "
    return "".join(f"{head}{value!r} {at}\n" for value, at in zip(points.values.tolist(), stamps, strict=True))


def _histogram(name: str, buckets: Buckets, stamps: list[str]) -> Iterator[str]:
    labels = _labels(buckets.labels)
    edges = [_labels({**buckets.labels, "le": number(edge)}) for edge in (*buckets.edges, float("inf"))]
    heads = [*(f"{name}_bucket{edge}" for edge in edges), f"{name}_count{labels}", f"{name}_sum{labels}"]
    template = "".join(head.replace("%", "%%") + f" %s {STAMP}\n" for head in heads)
    for counts, total, at in zip(buckets.counts.tolist(), buckets.sums.tolist(), stamps, strict=True):
        yield (template % (*counts, counts[-1], repr(total))).replace(STAMP, at)


def number(value: float) -> str:
    """A number as Prometheus's own clients write it in the label `le`: 0.5, 100.0, 1e+06, +Inf."""
    if value == float("inf"):
        return "+Inf"
    if value < 1e6:
        return repr(float(value))
    digits = str(int(value))
    mantissa = f"{digits[0]}.{digits[1:]}".rstrip("0").rstrip(".")
    return f"{mantissa}e+{len(digits) - 1:02d}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"').replace(STAMP, "")
