"""Synthetic loads one after the other: what is asked for changes as time goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.workloads.generators.source import Generated
from simulator.workloads.requests import Requests


@dataclass(frozen=True)
class Phase:
    """A load whose requests arrive within `seconds`."""

    load: Generated
    seconds: float


@dataclass(frozen=True)
class Phased:
    """Phases in order, each beginning where the one before it ends; at most `requests` requests in all."""

    phases: tuple[Phase, ...]
    requests: int
    speed_up: float = 1.0
    name: str = "generated"

    def chunks(self) -> Iterator[Requests]:
        """Requests in order of arrival, `speed_up` times as fast as the phases."""
        start, left = 0.0, self.requests
        for phase in self.phases:
            for found in phase.load.chunks():
                within = int(np.searchsorted(found.arrival_s, phase.seconds))
                cut = slice(min(within, left))
                arrivals = (start + found.arrival_s[cut]) / self.speed_up
                left -= len(arrivals)
                if len(arrivals):
                    yield Requests(arrivals, found.prompt_tokens[cut], found.output_tokens[cut])
                if within < len(found) or not left:
                    break
            start += phase.seconds
