"""Training steps over a network: the same as without one where it is idle and wide, slower where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.cli import main
from simulator.engine.network.collectives import ring_all_reduce
from simulator.engine.network.flows import complete, placed
from simulator.engine.network.network import placed_in
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.specs.training import TrainingScenario
from simulator.specs.validating import validated
from simulator.training import train
from simulator.workloads.operators import Collective

TOPOLOGY = {"kind": "leaf-spine", "devices_per_leaf": 16, "spines": 4}
SMALL: dict[str, Any] = {
    "kind": "training",
    "model": {"layers": 8, "hidden": 1024, "heads": 16, "vocab": 1024},
    "device": "nvidia-a100-sxm-80gb",
    "batch": {"sequence": 512, "micro": 1, "global_size": 64},
    "layout": {"tensor": 4, "pipeline": 4, "data": 8},
}


def step(network: dict[str, Any] | None = None, **rest: Any) -> Step:
    values = SMALL | rest | ({"network": network} if network else {})
    return train(validated(TrainingScenario, values, "a scenario")).step


def test_an_idle_network_of_full_bisection_changes_nothing() -> None:
    plain, wide = step(), step({"topology": TOPOLOGY})
    assert wide.step_seconds == pytest.approx(plain.step_seconds, rel=1e-9)
    assert wide.send_seconds == pytest.approx(plain.send_seconds)
    assert wide.end.reduce_seconds(0) == pytest.approx(plain.end.reduce_seconds(0))


def test_oversubscription_and_collisions_slow_the_reduction_and_not_the_tensor_groups() -> None:
    wide = step({"topology": TOPOLOGY})
    for topology, policy in (({"oversubscription": 8}, "spraying"), ({"spines": 16}, "ecmp")):
        narrow = step({"topology": TOPOLOGY | topology, "routing": {"policy": policy}})
        assert narrow.end.reduce_seconds(0) > wide.end.reduce_seconds(0)
        assert narrow.pass_seconds.forward == wide.pass_seconds.forward


def test_placement_decides_which_groups_leave_their_nodes() -> None:
    """With replicas innermost the gradients stay inside nodes, and the tensor groups pay for it."""
    usual = step({"topology": TOPOLOGY})
    turned = step({"topology": TOPOLOGY, "placement": ["data", "tensor", "pipeline"]})
    assert turned.end.reduce_seconds(0) < usual.end.reduce_seconds(0)
    assert turned.pass_seconds.forward[0] > usual.pass_seconds.forward[0]


def test_placement_is_a_permutation_along_the_order() -> None:
    degrees = {"tensor": 2, "data": 3, "pipeline": 4}
    assert (placed_in(("tensor", "data", "pipeline"), degrees) == np.arange(24)).all()
    turned = placed_in(("pipeline", "tensor", "data"), degrees)
    for t in range(2):
        for d in range(3):
            for p in range(4):
                assert turned[t + 2 * (d + 3 * p)] == p + 4 * (t + 2 * d)
    with pytest.raises(InputError, match="name each"):
        placed_in(("tensor", "data"), degrees)
    assert (placed_in(("data", "tensor"), degrees | {"pipeline": 1}) == [0, 3, 1, 4, 2, 5]).all()


def test_groups_are_those_of_the_ranks() -> None:
    """Replicas of 4-wide tensor groups are 4 apart; stages are neighbours 32 apart."""
    net = step({"topology": TOPOLOGY}).network
    assert net is not None
    groups = net.groups(Collective("all_reduce", 1.0, 8, 4))
    assert groups.shape == (16, 8)
    assert sorted(groups.reshape(-1).tolist()) == list(range(128))
    assert groups[1].tolist() == [1 + 4 * i for i in range(8)]
    assert net.groups(Collective("send_recv", 1.0, 2, 32)).shape == (96, 2)


def test_what_one_group_does_alone_is_a_lower_bound() -> None:
    """Folding to one group would miss the collisions of the others on an oversubscribed network."""
    net = step({"topology": TOPOLOGY | {"oversubscription": 16}}).network
    assert net is not None
    programs = [ring_all_reduce(g, 1e9) for g in net.groups(Collective("all_reduce", 1.0, 8, 4)).tolist()]
    alone, together = (
        complete(each, net.routes, placed(each, net.routes, net.policy)).seconds for each in (programs[:1], programs)
    )
    assert together.max() > 1.5 * alone.max()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"topology": {"kind": "leaf"}}, "unknown topology"),
        ({"topology": TOPOLOGY, "routing": {"policy": "spray"}}, "did you mean spraying"),
        ({"topology": TOPOLOGY, "placement": ["tensor"]}, "name each"),
        ({"topology": TOPOLOGY, "all_reduce": "rings"}, "all_reduce"),
        ({"topology": {"kind": "torus", "sides": [4, 4]}}, "has 16 devices, not 128"),
    ],
)
def test_bad_networks_are_named(network: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        step(network)


def test_the_command_takes_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import yaml

    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(SMALL | {"network": {"topology": TOPOLOGY}}))
    assert main(["train", str(file)]) == 0
    assert "of a group alone" in capsys.readouterr().out


def test_the_summary_says_what_contention_costs() -> None:
    scenario = validated(TrainingScenario, SMALL | {"network": {"topology": TOPOLOGY | {"oversubscription": 8}}}, "it")
    found = train(scenario).summary["network"]
    assert found["topology"] == "leaf-spine"
    assert found["reduction_s"] > found["reduction_alone_s"] > 0
    assert found["send_s"] > found["send_alone_s"] > 0
    assert found["reduction_bus_gbit_per_s"] > 0
    assert train(validated(TrainingScenario, SMALL, "it")).summary["network"] is None


@pytest.mark.parametrize(
    "rest",
    [
        {"layout": {"tensor": 4, "data": 32, "zero": 3}},
        {"layout": {"tensor": 2, "context": 4, "pipeline": 2, "data": 8}, "context": {"policy": "ring"}},
        {
            "model": SMALL["model"] | {"experts": {"count": 16, "top_k": 2}},
            "layout": {"data": 128, "expert": 16},
            "batch": {"sequence": 512, "micro": 1, "global_size": 128},
        },
    ],
    ids=["sharded", "long-context", "experts"],
)
def test_other_parallel_dimensions_share_the_network_too(rest: dict[str, Any]) -> None:
    """Wide, it takes what links of one's own take, or less where a closed form takes the slowest link for all."""
    plain, wide = step(**rest), step({"topology": TOPOLOGY}, **rest)
    narrow = step({"topology": TOPOLOGY | {"oversubscription": 16}}, **rest)
    assert 0.6 * plain.step_seconds < wide.step_seconds <= plain.step_seconds * (1 + 1e-9)
    assert narrow.step_seconds > 1.05 * wide.step_seconds
