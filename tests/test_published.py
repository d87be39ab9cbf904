"""Published systems: both sides run, and the ratio is that of the measured figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.cli import main
from simulator.errors import InputError
from simulator.kinds import Experiment
from simulator.published import (
    SCENARIOS,
    Measure,
    capacity,
    compare_sides,
    figure_of,
    load_published,
    measured,
    most_replicas,
    name_of,
    published_files,
    sides,
)
from simulator.scenario import scenario_from
from simulator.yaml_io import load_yaml

SHARED: dict[str, Any] = {
    "model": "meta-llama/Llama-3.2-1B",
    "device": "nvidia-l4-24gb",
    "load": {
        "generator": {
            "arrivals": {"process": "poisson", "rate": 4.0},
            "prompt_tokens": {"law": "fixed", "tokens": 400},
            "output_tokens": {"law": "fixed", "tokens": 20},
            "requests": 80,
        }
    },
    "objectives": {"ttft_ms": 300},
}
FILE = """
kind: published
name: a faster device
paper: {system: Test, title: A test, source: none}
scenario:
  model: meta-llama/Llama-3.2-1B
  device: nvidia-l4-24gb
  load:
    generator:
      arrivals: {process: poisson, rate: 2.0}
      prompt_tokens: {law: fixed, tokens: 300}
      output_tokens: {law: fixed, tokens: 20}
      requests: 20
baseline: {}
system: {device: nvidia-h100-sxm-80gb}
measure: {figure: latency_ms.e2e.mean, better: lower}
reported: {ratio: 5.0, says: five times}
assumptions: [none]
"""


@pytest.mark.parametrize("path", published_files(), ids=name_of)
def test_every_file_describes_two_different_deployments(path: Path) -> None:
    found = load_published(path)
    baseline, system = sides(found, path.parent)
    assert baseline != system
    assert baseline.kind == system.kind
    if isinstance(baseline, Experiment):
        assert baseline.load == system.load
        assert baseline.objectives == system.objectives
    assert found.assumptions


@pytest.mark.parametrize("path", published_files(), ids=name_of)
def test_a_far_ratio_is_explained(path: Path) -> None:
    """Stored predictions name what the file reports; where they differ by more than a quarter the file says why."""
    stored = load_yaml(SCENARIOS / "predictions.json")
    found = load_published(path)
    assert isinstance(stored, dict)
    row = stored[name_of(path)]
    assert row["reported"] == found.reported.ratio
    assert row["predicted"] > 1.0
    if found.reported.ratio is not None and abs(row["predicted"] / found.reported.ratio - 1.0) > 0.25:
        assert found.miss


def test_the_ratio_is_that_of_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(FILE, encoding="utf-8")
    found = load_published(file)
    answer = compare_sides(found, tmp_path)
    slow, fast = (measured(side, found.measure) for side in sides(found, tmp_path))
    assert answer.ratio == pytest.approx(slow / fast)
    assert answer.ratio > 1
    assert main(["run", str(file), "--out", str(tmp_path / "out"), "--json", str(tmp_path / "ratio.json")]) == 0
    assert f"predicted ratio: {answer.ratio:.2f}" in capsys.readouterr().out
    assert load_yaml(tmp_path / "ratio.json")["predicted"] == pytest.approx(answer.ratio)  # type: ignore[index]
    assert (tmp_path / "out" / "system" / "summary.json").exists()
    assert main(["run", str(file), "--set", "replicas=2"]) == 2


TRAINING = """
kind: published
name: no recomputation
paper: {system: Test, title: A test, source: none}
scenario:
  kind: training
  model: {layers: 8, hidden: 1024, heads: 16}
  device: nvidia-a100-sxm-80gb
  batch: {sequence: 512, micro: 1, global_size: 16}
  layout: {pipeline: 2}
baseline: {recompute: full}
system: {}
measure: {figure: step_s, better: lower}
reported: {ratio: 1.3, says: a third}
assumptions: [none]
"""


def test_training_is_compared_by_its_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recomputing all costs about one forward pass in three more."""
    file = tmp_path / "test.yaml"
    file.write_text(TRAINING, encoding="utf-8")
    found = load_published(file)
    answer = compare_sides(found)
    assert 1.2 < answer.ratio < 1.4
    tokens = measured(sides(found)[0], Measure(figure="tokens_per_s", per_device=True))
    assert tokens == pytest.approx(16 * 512 / answer.baseline / 2)
    assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "baseline" / "summary.json").exists()
    with pytest.raises(InputError, match="a capacity is not modelled for kind training"):
        measured(sides(found)[0], Measure(at_most={"step_s": 1.0}))


def test_a_figure_counts_only_within_the_bounds_beside_it() -> None:
    scenario = scenario_from(SHARED)
    free = measured(scenario, Measure(figure="throughput.requests_per_s"))
    assert measured(scenario, Measure(figure="throughput.requests_per_s", at_least={"goodput.share": 0.0})) == free
    with pytest.raises(InputError, match=r"latency_ms\.e2e\.mean is .* out of its bound"):
        measured(scenario, Measure(figure="throughput.requests_per_s", at_most={"latency_ms.e2e.mean": 0.0}))


def test_capacity_is_the_last_rate_within_bounds() -> None:
    """Just below it the bound holds, a little above it does not; twice the replicas carry about twice the load."""
    measure = Measure(at_least={"goodput.share": 0.9})
    one = capacity(scenario_from(SHARED), measure)

    def share(rate: float) -> float:
        load = {"generator": SHARED["load"]["generator"] | {"arrivals": {"process": "poisson", "rate": rate}}}
        return measured(scenario_from(SHARED | {"load": load}), Measure(figure="goodput.share"))

    factor = one / share_rate()
    assert share(4.0 * factor * 0.97) >= 0.9
    assert share(4.0 * factor * 1.05) < 0.9
    two = capacity(scenario_from(SHARED | {"replicas": 2, "router": {"policy": "least-outstanding"}}), measure)
    assert two == pytest.approx(one, rel=0.5)
    assert two > one


def test_replicas_are_searched_up_to_the_bound_and_the_nameplate() -> None:
    """Each brings its share of the load; one more than was found breaks the bound, and so does one watt less."""
    low = SHARED | {"replicas": 2, "router": {"policy": "least-outstanding"}}
    measure = Measure(at_most={"power.peak_w": 400.0}, search="replicas")

    def peak(replicas: int) -> float:
        load = low["load"] | {"speed_up": replicas / 2}
        row = {"budget_w": 400, "brake_clock": None}
        scenario = scenario_from(low | {"load": load, "power": row, "replicas": replicas})
        return measured(scenario, Measure(figure="power.peak_w"))

    found = most_replicas(scenario_from(low | {"power": {"budget_w": 400, "brake_clock": None}}), measure)
    assert found > 2
    assert peak(found) <= 400.0 < peak(found + 1)
    nameplate = scenario_from(low | {"power": {"budget_w": 400, "server_w": 99, "brake_clock": None}})
    assert measured(nameplate, measure) == 4
    none = Measure(at_most={"power.peak_w": 1.0}, search="replicas")
    assert most_replicas(nameplate, none) == 0


def share_rate() -> float:
    """Requests a second that the generator offers at its own speed."""
    from simulator.experiment import run

    arrivals = run(scenario_from(SHARED)).request_columns["arrival_s"]
    return (len(arrivals) - 1) / float(arrivals.max() - arrivals.min())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind: published", "kind: publishd"), "kind"),
        (("better: lower", "better: least"), "measure.better"),
        (("figure: latency_ms.e2e.mean, better: lower", "better: lower"), "give either figure"),
        (("assumptions: [none]", ""), "assumptions"),
        (("better: lower}", "search: replicas}"), "search is of a capacity"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(FILE.replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_published(file)


def test_unknown_figures_and_systems_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="did you mean mean"):
        figure_of({"a": {"mean": 1.0}}, "a.meen")
    assert main(["validate", "scenarios", "serving/distsrve"]) == 2
    assert "did you mean serving/distserve" in capsys.readouterr().err
