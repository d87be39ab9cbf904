"""Responses to lost workers: who does how much, and what a step then takes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.long_run.arranged import Arranged
from simulator.engine.training.long_run.cluster import Nodes
from simulator.engine.training.long_run.failures import Failure
from simulator.policies.elastic import DropReplicas, Elastic, Reroute, Reshard, Restart, balanced
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step

STEP = step(job(layers=16, layout=Layout(pipeline=4, data=4), batch=256))
ARRANGED = Arranged(STEP)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1.0, 4.0), min_size=1, max_size=4), st.integers(0, 5))
def test_layers_are_dealt_as_evenly_as_they_can_be(load: list[float], more: int) -> None:
    layers = len(load) + more
    found = balanced(tuple(load), layers)
    assert sum(found) == layers
    every = (d for d in product(range(1, layers + 1), repeat=len(load)) if sum(d) == layers)
    best = min(max(w * n for w, n in zip(load, d, strict=True)) for d in every)
    assert max(w * n for w, n in zip(load, found, strict=True)) == pytest.approx(best)


@pytest.mark.parametrize("policy", [Restart(), DropReplicas(), Reroute(), Reshard()])
def test_a_whole_cluster_runs_the_usual_step(policy: Elastic) -> None:
    found = policy.arrange(np.ones((4, 4), dtype=np.bool_), ARRANGED.layers)
    assert found is not None
    assert found.batch == 1.0
    assert ARRANGED.seconds(found) == STEP.step_seconds


def test_a_lost_worker_costs_its_replica_its_stage_or_its_share() -> None:
    """Samples a second after the loss of one of 16 workers, by what is left to use: 12, 12 in the stage, or 15."""
    alive = np.ones((4, 4), dtype=np.bool_)
    alive[2, 1] = False
    rates = []
    for policy in (DropReplicas(), Reroute(), Reshard()):
        found = policy.arrange(alive, ARRANGED.layers)
        assert found is not None
        rates.append(found.batch * STEP.step_seconds / ARRANGED.seconds(found))
    dropped, rerouted, resharded = rates
    assert dropped == pytest.approx(0.75)
    assert 0.75 < rerouted < 1.0
    assert rerouted < resharded <= 1.0
    assert Restart().arrange(alive, ARRANGED.layers) is None


def test_a_stage_without_workers_waits() -> None:
    alive = np.ones((2, 2), dtype=np.bool_)
    alive[:, 1] = False
    assert all(p.arrange(alive, (8, 8)) is None for p in (Restart(), DropReplicas(), Reroute(), Reshard()))


def test_moved_states_pause_all_unless_they_overlap() -> None:
    alive = np.ones((4, 4), dtype=np.bool_)
    alive[2, 1] = False
    old, new = (Reshard().arrange(a, ARRANGED.layers) for a in (np.ones_like(alive), alive))
    assert old is not None
    assert new is not None
    blocking = Arranged(STEP, communicator=2.0, overlapped=False)
    gained = max(b - a for a, b in zip(old.layers, new.layers, strict=True))
    states = max(s.weights + s.optimizer for s in (STEP.states(i) for i in range(4)))
    link = STEP.law.fabric.between
    bound = gained / min(old.layers) * states / (link.bandwidth * link.efficiency)
    assert gained
    assert 2.0 < blocking.change_seconds(old, new, False) <= 2.0 + bound
    assert Arranged(STEP, communicator=2.0).change_seconds(old, new, True) == 2.0


def test_nodes_hold_the_workers_of_their_devices() -> None:
    """Ranks go to devices in the order tensor, data, pipeline: node 5 of 8 devices has replica 1 of stage 1."""
    nodes = Nodes(Layout(tensor=8, pipeline=2, data=4), 8)
    nodes.fail(Failure(0.0, "node", 5, 1, 10.0, 0.0))
    lost = ~nodes.alive()
    assert lost.sum() == 1
    assert lost[1, 1]
    assert not nodes.hit_by(Failure(1.0, "node", 5, 1, 10.0, 0.0))
    assert nodes.next_repair == 10.0
    assert nodes.repair()
    assert nodes.alive().all()
