"""Send the micro-batches of a lost worker to the workers of the same stage in other replicas."""

from __future__ import annotations

import numpy as np

from simulator.policies.elastic.arrangement import Alive, Arrangement


class Reroute:
    """Peers of the same stage take over in their bubbles (ReCycle: Gandhi et al., SOSP 2024, arXiv:2405.14009).

    Gradients of weights run apart from those of inputs, to fill bubbles. The global batch stays.
    """

    keeps_state = True

    def arrange(self, alive: Alive, layers: tuple[int, ...]) -> Arrangement | None:
        load = load_of_peers(alive)
        if load is None:
            return None
        return Arrangement(1.0, load, layers, scattered=not alive.all())


class Reshard:
    """Share a stage's micro-batches over its peers, and move layers from stages that lost workers to others.

    Layers are dealt so that the most loaded worker has the least to do, each stage keeping at least one, which
    ElasWave finds by a minimax partition (arXiv:2510.00606).
    """

    keeps_state = True

    def arrange(self, alive: Alive, layers: tuple[int, ...]) -> Arrangement | None:
        load = load_of_peers(alive)
        if load is None:
            return None
        if alive.all():
            return Arrangement(1.0, load, layers)
        return Arrangement(1.0, load, balanced(load, sum(layers)))


def load_of_peers(alive: Alive) -> tuple[float, ...] | None:
    """How many replicas' micro-batches each living worker of a stage takes; None where a stage has lost all."""
    left = alive.sum(axis=0)
    return tuple(float(x) for x in alive.shape[0] / left) if left.all() else None


def balanced(load: tuple[float, ...], layers: int) -> tuple[int, ...]:
    """Layers of each stage, at least one, so that the largest of load x layers is as small as it can be.

    Raises `ValueError` where there are fewer layers than stages.
    """
    stages = len(load)
    if layers < stages:
        raise ValueError(f"{layers} layers cannot be dealt to {stages} stages: use fewer stages")
    given = np.ones(stages, dtype=np.int64)
    weights = np.array(load)
    for _ in range(layers - stages):
        given[int(np.argmin(weights * (given + 1)))] += 1
    return tuple(int(x) for x in given)
