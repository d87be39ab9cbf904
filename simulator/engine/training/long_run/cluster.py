"""Which workers of a job are alive: nodes that break, spares that take their place, repairs that come back."""

from __future__ import annotations

import heapq
from math import inf

import numpy as np

from simulator.engine.training.long_run.failures import Failure
from simulator.policies.elastic.arrangement import Alive
from simulator.workloads.training.job import Layout


class Nodes:
    """The nodes of a job, of `devices_per_node` devices each, and `spares` more that stand by.

    A worker is one replica's share of one stage, tensor x context devices; ranks are dealt to devices in the order
    tensor, context, data, pipeline. A node that broke is repaired, then takes the first empty place or becomes a spare.
    """

    def __init__(self, layout: Layout, devices_per_node: int, spares: int = 0) -> None:
        self.count = -(-layout.devices // devices_per_node)
        self.spares = spares
        self._layout = layout
        self._per_node = devices_per_node
        self._empty: list[int] = []
        self._repairs: list[float] = []

    @property
    def next_repair(self) -> float:
        """When the next node comes back, in seconds; infinite if none is being repaired."""
        return self._repairs[0] if self._repairs else inf

    def hit_by(self, failure: Failure) -> bool:
        """Whether a failure to come hits a place that will hold a node; one that takes no node out hits the job."""
        empty = self._empty[sum(back <= failure.at for back in self._repairs) :] if self._empty else []
        places = range(failure.node, failure.node + failure.nodes)
        return not failure.nodes or any(p % self.count not in empty for p in places)

    def fail(self, failure: Failure) -> None:
        """Take the nodes of a failure out, and put spares in their places."""
        for node in range(failure.node, failure.node + failure.nodes):
            place = node % self.count
            if place in self._empty:
                continue
            heapq.heappush(self._repairs, failure.at + failure.repair)
            if self.spares:
                self.spares -= 1
            else:
                self._empty.append(place)

    def repair(self) -> bool:
        """Take the next repaired node back. Whether it filled an empty place."""
        heapq.heappop(self._repairs)
        if self._empty:
            self._empty.pop(0)
            return True
        self.spares += 1
        return False

    def alive(self) -> Alive:
        """Which workers can run, shape (data, pipeline)."""
        layout = self._layout
        devices = np.ones(layout.devices, dtype=np.bool_)
        for place in self._empty:
            devices[place * self._per_node : (place + 1) * self._per_node] = False
        workers = devices.reshape(layout.pipeline, layout.data, layout.context * layout.tensor)
        return np.array(workers.all(axis=2).T, dtype=np.bool_)
