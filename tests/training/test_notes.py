"""What a training run says beside its figures, and what it answers to settings that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.cli import main
from simulator.report.training.tables import tables_beyond_the_step
from simulator.specs.training import TrainingScenario
from simulator.training import load_training, train

VALUES: dict[str, Any] = {
    "kind": "training",
    "model": {"layers": 4, "hidden": 1024, "heads": 16, "vocab": 1024},
    "device": "nvidia-a100-sxm-80gb",
    "batch": {"sequence": 1024, "micro": 2, "global_size": 4},
}


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
@pytest.mark.parametrize("fused", [False, True])
def test_recomputation_that_saves_no_memory_is_told(recompute: str, fused: bool) -> None:
    """What it costs is the difference of two runs; without fused attention it saves the scores."""

    def summary(how: str) -> dict[str, Any]:
        values = VALUES | {"recompute": how, "fused_attention": fused}
        return train(TrainingScenario.model_validate(values)).summary

    found, plain = summary(recompute), summary("none")
    more = found["peak_memory_gb"] - plain["peak_memory_gb"]
    told = found.get("notes", [])
    assert bool(told) == (recompute == "selective" and fused)
    if told:
        assert more >= 0.0
        assert f"{more:.3g} GB more than with recompute none" in told[0]
        assert ("notes", [{"": told[0]}]) in tables_beyond_the_step(found)
    elif recompute != "none":
        assert more < 0.0


def test_a_setting_inside_a_models_name_is_answered_with_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "named.yaml"
    file.write_text(
        "{kind: training, model: Qwen/Qwen3-0.6B, device: nvidia-a100-sxm-80gb, batch: {sequence: 512, global_size: 2}}"
    )
    assert main(["train", str(file), "--set", "model.layers=4"]) == 2
    told = capsys.readouterr().err
    assert "gives model as 'Qwen/Qwen3-0.6B'" in told
    assert "--set 'model={layers: ...}'" in told
    followed = load_training(file, ["model={layers: 4, hidden: 1024, heads: 16}"])
    assert train(followed).summary["model"]["parameters"] > 0.0
