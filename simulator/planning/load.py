"""A load held in memory: read once, replayed for every candidate, at any rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.experiment import request_source
from simulator.specs.load import LoadSpec
from simulator.workloads.requests import Requests

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class HeldLoad:
    """The requests of a load, chunk by chunk as its source gave them (a `RequestSource`)."""

    name: str
    parts: tuple[Requests, ...]
    skipped_by_reason: dict[str, int] = field(default_factory=dict)

    def chunks(self) -> Iterator[Requests]:
        """Requests in arrival order."""
        return iter(self.parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def arrival_s(self) -> Floats:
        return np.concatenate([p.arrival_s for p in self.parts])

    @property
    def prompt_tokens(self) -> Ints:
        return np.concatenate([p.prompt_tokens for p in self.parts])

    @property
    def output_tokens(self) -> Ints:
        return np.concatenate([p.output_tokens for p in self.parts])

    @property
    def shared_prefixes(self) -> bool:
        """Whether some prompt may be found in a prefix cache."""
        return any(p.prefix is not None for p in self.parts)

    def column(self, name: str) -> Ints:
        """`priority` or `tenant` of each request. Raises `InputError` where the load has no such column."""
        columns = [getattr(p, name) for p in self.parts]
        if any(c is None for c in columns):
            raise InputError(f"objectives.classes name a {name}, and the load {self.name} has no {name} column")
        return np.concatenate(columns)

    def sped_up(self, factor: float) -> HeldLoad:
        """The same requests, arriving `factor` times as fast."""
        return replace(self, parts=tuple(replace(p, arrival_s=p.arrival_s / factor) for p in self.parts))


def hold(load: LoadSpec) -> HeldLoad:
    """Read a load to its end. Raises `InputError` where it cannot be used or is empty."""
    source = request_source(load)
    parts = tuple(chunk for chunk in source.chunks() if len(chunk))
    if not parts:
        raise InputError(f"the load {source.name} has no requests")
    return HeldLoad(source.name, parts, dict(getattr(source, "skipped_by_reason", {})))
