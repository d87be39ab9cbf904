"""Clients of a federation, each with its own speed and links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.streams import stream
from simulator.policies.upload import Upload

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """A lognormal quantity by its median and the deviation of its logarithm (0: all alike)."""

    median: float
    deviation: float = 0.0

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        return self.median * np.exp(self.deviation * rng.standard_normal(count))


@dataclass(frozen=True, slots=True)
class Population:
    """`count` clients: FLOP/s, bytes/s up and down as spreads, seconds of latency, watts of compute and of radio."""

    count: int
    speed: Spread
    uplink: Spread
    downlink: Spread
    latency: float
    compute_watts: float
    radio_watts: float


@dataclass(frozen=True, slots=True)
class Task:
    """What a client does: FLOP of a local step, how many steps, parameters of the model, and its upload."""

    step_flops: float
    steps: int
    parameters: int
    upload: Upload
    download_bits: float = 32.0


@dataclass(frozen=True, slots=True)
class Clients:
    """Seconds of every client, shape (clients,): one local step, compressing, sending up and getting the model."""

    step: Floats
    compress: Floats
    up: Floats
    down: Floats


def clients_of(population: Population, task: Task, seed: int) -> Clients:
    """Draw the clients; speeds and either direction of the links have streams of their own."""
    drawn = {
        name: spread.draw(population.count, stream(seed, f"client {name}"))
        for name, spread in (
            ("speed", population.speed), ("uplink", population.uplink), ("downlink", population.downlink),
        )
    }  # fmt: skip
    sent = task.upload.bits(task.parameters) / 8.0
    got = task.parameters * task.download_bits / 8.0
    return Clients(
        task.step_flops / drawn["speed"],
        task.upload.flops(task.parameters) / drawn["speed"],
        population.latency + sent / drawn["uplink"],
        population.latency + got / drawn["downlink"],
    )
