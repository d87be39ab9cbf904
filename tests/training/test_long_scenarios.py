"""Scenarios of long and mixed sequences and of experts: their summaries add up and say where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from simulator.cli import main
from simulator.errors import InputError
from simulator.training import TrainingResult, load_training, train

EXAMPLES = Path(__file__).parents[2] / "simulator" / "scenarios" / "training"


def run(name: str, settings: Mapping[str, Any] | None = None) -> TrainingResult:
    return train(load_training(EXAMPLES / f"{name}.yaml", settings or {}))


@pytest.mark.parametrize("policy", ["ring", "ulysses", "head-context", "token-ring"])
def test_parts_add_up_whatever_shares_the_sequence(policy: str) -> None:
    found = run("llama-8b-128k", {"context.policy": policy}).summary
    assert sum(found["breakdown_s"].values()) == pytest.approx(found["step_s"])
    assert 0.5 < found["attention_share"] < 0.9
    waits = "all_to_all" if policy in ("ulysses", "head-context") else "ring_wait"
    assert found["breakdown_s"][waits] > 0.0


def test_longer_sequences_spend_more_on_attention_and_hide_more_of_the_ring() -> None:
    short, long = (run("llama-8b-128k", {"batch.sequence": n}).summary for n in (16384, 131072))
    assert long["attention_share"] > short["attention_share"]
    wait = [s["breakdown_s"]["ring_wait"] / s["step_s"] for s in (short, long)]
    assert wait[1] < wait[0]


def test_experts_are_shown_with_what_they_wait_for() -> None:
    found = run("mixtral-8x7b").summary
    assert sum(found["breakdown_s"].values()) == pytest.approx(found["step_s"])
    assert found["experts"]["imbalance"] > 1.0
    assert found["experts"]["parts"] in (1, 2, 4, 8)
    assert 0.0 < found["experts"]["all_to_all_share"] < 1.0
    assert found["experts"]["dropped_share"] == 0.0
    cut = run("mixtral-8x7b", {"routing.capacity": 1.0}).summary["experts"]
    assert cut["imbalance"] == 1.0
    assert cut["dropped_share"] > 0.0


@pytest.mark.parametrize("policy", ["in-order", "balanced", "dynamic-mesh"])
def test_mixed_lengths_add_up_on_the_busiest_rank(policy: str) -> None:
    settings = {"packing": {"policy": policy}, "batch.global_size": 128}
    result = run("llama-7b-mixed-lengths", settings)
    found, varied = result.summary, result.varied
    assert varied is not None
    ends, busy = varied.ends
    assert sum(found["breakdown_s"].values()) == pytest.approx(found["step_s"])
    assert found["bubble_share"] == pytest.approx(1.0 - busy.mean() / ends.max())
    assert found["sequences"]["tokens"] == sum(varied.lengths)
    assert sum(found["sequences"]["micro_batches_by_ranks"].values()) == len(varied.placed)
    assert found["sequences"]["imbalance_of_ranks"] >= 1.0
    assert found["memory_gb"][0]["total"] < 86
    assert found["mfu"] < found["hfu"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("llama-8b-128k", {"packing.policy": "balanced"}, "give batch.lengths"),
        ("llama-8b-128k", {"recompute": "none"}, "set recompute to full"),
        ("llama-8b-128k", {"routing.skew": 1.0}, "has no experts"),
        ("llama-8b-128k", {"layout.expert": 2}, "no experts to share out"),
        ("llama-7b-mixed-lengths", {"fused_attention": False}, "not fused"),
    ],
)
def test_fields_that_would_change_nothing_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(name, settings)


def test_a_policy_of_ones_own_shares_the_sequence() -> None:
    """Named by module and class: a ring by another name takes as long."""
    own = {"context.policy": "simulator.policies.context.ring:Ring", "context.options.balanced": False}
    ring, unbalanced = run("llama-8b-128k").summary, run("llama-8b-128k", own).summary
    assert unbalanced["breakdown_s"]["forward"] > 1.3 * ring["breakdown_s"]["forward"]


def test_the_command_shows_packing_and_refuses_what_it_does_not_draw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(EXAMPLES / "llama-7b-mixed-lengths.yaml")
    assert main(["train", file, "--set", "batch.global_size=64"]) == 0
    assert "micro-batches by ranks" in capsys.readouterr().out
    assert main(["train", file, "--set", "batch.global_size=64", "--timeline", "--out", str(tmp_path)]) == 2
    assert "sequences of different lengths" in capsys.readouterr().err
    assert main(["train", file, "--set", "batch.micro=2"]) == 2
    assert main(["train", file, "--set", "packing.policy=balance"]) == 2
    assert "balanced" in capsys.readouterr().err
