"""Latencies of whole models: what a row means, and how near predictions come."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.calibrate.check_models import check_models, latency
from simulator.cli import main
from simulator.errors import InputError

MEASURED = Path(__file__).parents[3] / "shared" / "measured" / "models_e2e" / "transformers_single_gpu.csv"
ROW = {"model_name": "gpt2_large", "seqlen": 1024, "batch": 4, "device": "NVIDIA_A100-PCIE-40GB", "mode": "inf"}


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured latencies are not beside the project")
def test_measured_models_are_within_the_target() -> None:
    found = check_models(MEASURED).summary()
    assert found["rows"] == 92
    assert found["overall"]["mape"] < 0.12


def test_training_takes_about_three_forward_passes() -> None:
    """Gradients of inputs and of weights are two products for each of the forward pass."""
    forward = latency(ROW | {"option": "nan"})
    both = latency(ROW | {"option": "nan", "mode": "train"})
    assert 2.5 < both / forward < 3.5


def test_fusion_saves_the_passes_between_products() -> None:
    assert latency(ROW | {"option": "fusion"}) < 0.95 * latency(ROW | {"option": "nan"})


def test_four_devices_share_a_batch_and_pay_for_their_links() -> None:
    row = ROW | {"device": "NVIDIA_A100-SXM4-40GB", "mode": "train"}
    one = latency(row | {"option": "nan"})
    for option in ("dp4", "tp4"):
        assert one / 4 < latency(row | {"option": option}) < one / 2
    assert latency(row | {"option": "pp4_1"}) == pytest.approx(one, rel=0.05)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("device", "X", "device X"),
        ("model_name", "llama", "model llama"),
        ("mode", "x", "mode x"),
        ("option", "z", "option z"),
    ],
)
def test_rows_that_are_not_modelled_say_why(field: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        latency(ROW | {"option": "nan", field: value})


def test_the_command_counts_what_it_skips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.csv"
    file.write_text(
        "model_name,seqlen,batch,device,mode,option,latency_ms\ngpt2_large,1024,4,Tesla_T4,inf,,2505.2\nx,1,1,Tesla_T4,inf,,1\n"
    )
    assert main(["validate", "models", str(file)]) == 0
    assert "model x is not known" in capsys.readouterr().out
    assert main(["validate", "models", str(tmp_path / "none.csv")]) == 2
