"""The scenarios of edge devices and of unusual hardware run, and say what they found."""

import pytest

from simulator.inference import infer
from simulator.report.catalogue import SCENARIOS
from simulator.specs.inference import InferenceScenario
from simulator.yaml_io import load_yaml

FILES = [
    f
    for folder in ("edge", "hardware")
    for f in sorted((SCENARIOS / folder).glob("*.yaml"))
    if load_yaml(f)["kind"] == "inference"
]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_scenario_runs(file):
    summary = infer(InferenceScenario.model_validate(load_yaml(file))).summary
    assert 0.0 < summary["latency_ms"] < 1e4
    assert summary["energy_mj"] > 0.0
    assert not summary["estimated_operators"]
    assert 0.0 < summary["share_of_peak_flops"] < 1.0


def test_energy_of_an_edge_tpu_is_its_multiply_adds_and_idling():
    """Coral: 2 TOPS a watt, 1 pJ a multiply-add."""
    found = infer(InferenceScenario.model_validate(load_yaml(SCENARIOS / "edge" / "mobilenet-v2-edge-tpu.yaml")))
    arithmetic = found.summary["macs"] * 1e-12
    assert arithmetic < found.joules - 0.5 * found.seconds < 1.1 * arithmetic
