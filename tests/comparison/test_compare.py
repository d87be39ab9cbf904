"""Comparisons whose outcome is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.assembly.pools import deployment_of
from simulator.comparison.compare import compare
from simulator.comparison.metrics import REQUEST_METRICS
from simulator.comparison.model_error import kernel_factors
from simulator.comparison.phases import elapsed, phases
from simulator.comparison.verdict import Difference
from simulator.comparison.winners import quantile_bins
from simulator.errors import InputError
from simulator.experiment import run
from simulator.report.comparison.page import comparison_page
from simulator.scenario import Scenario, scenario_from
from tests.report.pages import check

LATENCIES = ("ttft", "tpot", "e2e")


def scenario(rate: float = 6.0, requests: int = 60, **changes: Any) -> Scenario:
    generator = {
        "arrivals": {"process": "poisson", "rate": rate},
        "prompt_tokens": {"law": "lognormal", "median": 300, "sigma": 0.8, "max": 2000},
        "output_tokens": {"law": "lognormal", "median": 30, "sigma": 0.6, "max": 200},
        "requests": requests,
    }
    load = {"generator": generator, **changes.pop("load", {})}
    return scenario_from({"model": "Qwen/Qwen2.5-0.5B", "device": "nvidia-l4-24gb", "load": load, **changes})


def test_a_scenario_does_not_differ_from_itself() -> None:
    found = compare([scenario(), scenario()])
    assert set(found.verdicts.outcome) == {"same"}
    assert (found.differences.filter(regex="_s$").drop(columns="arrival_s").fillna(0.0) == 0.0).all(axis=None)
    assert (found.who_wins.ties == 1.0).all()
    for metric in REQUEST_METRICS:
        assert found.against[0].verdict(metric) == "no difference"


def test_a_faster_device_wins_on_every_request() -> None:
    found = compare([scenario(), scenario(device="nvidia-h100-sxm-80gb")])
    who = found.who_wins
    assert (who[who.metric.isin(LATENCIES)].wins == 1.0).all()
    means = found.verdicts[(found.verdicts.statistic == "mean") & found.verdicts.metric.isin(LATENCIES)]
    assert set(means.outcome) == {"better"}
    assert (means.high < 0).all()
    assert found.contenders[1].changes == {"device": ("nvidia-l4-24gb", "nvidia-h100-sxm-80gb")}


def test_differences_are_those_of_two_separate_runs() -> None:
    scenarios = [scenario(), scenario(batching={"policy": "vllm-v0"})]
    one, other = (run(s).requests for s in scenarios)
    found = compare(scenarios)
    for name in ("ttft", "tpot", "e2e", "queue_wait"):
        assert np.array_equal(found.differences[f"{name}_s"], other[f"{name}_s"] - one[f"{name}_s"], equal_nan=True)
    mean = found.verdicts.set_index(["metric", "statistic"]).loc[("e2e", "mean")]
    assert mean.difference == pytest.approx(other.e2e_s.mean() - one.e2e_s.mean())
    assert len(found.requests) == len(one) + len(other)
    groups = found.who_wins[(found.who_wins.metric == "e2e") & (found.who_wins.by == "prompt tokens")]
    assert groups.requests.sum() == len(one)
    assert (groups.difference * groups.requests).sum() / len(one) == pytest.approx(mean.difference)


@pytest.mark.parametrize("pipeline", [1, 2])
@pytest.mark.parametrize("policy", ["vllm-v1", "vllm-v0", "orca", "static"])
def test_phases_add_up(policy: str, pipeline: int) -> None:
    parallel = {"pipeline": pipeline}
    result = run(scenario(rate=30.0, replicas=2, batching={"policy": policy}, parallel=parallel))
    parts = phases(result)
    assert np.allclose(sum(parts.values()), result.requests.e2e_s, rtol=0, atol=1e-9)
    assert all((seconds > -1e-9).all() for seconds in parts.values())
    if policy == "vllm-v0":
        assert parts["mixed"].sum() == 0 < parts["stalled"].sum()
    if policy == "vllm-v1":
        assert parts["mixed"].sum() > 0


def test_elapsed_counts_the_area_before_each_time() -> None:
    start, end = np.array([1.0, 2.0, 5.0]), np.array([3.0, 4.0, 6.0])
    assert elapsed(start, end, np.array([0.0, 2.0, 3.0, 4.5, 9.0])).tolist() == [0.0, 1.0, 3.0, 4.0, 5.0]
    assert elapsed(start[:0], end[:0], start).tolist() == [0.0, 0.0, 0.0]


def test_rejected_requests_are_counted_and_in_no_pair() -> None:
    small = scenario(load={"on_error": "skip"}, kv_cache={"blocks": 30})
    found = compare([scenario(load={"on_error": "skip"}), small])
    rejected = len(found.results[1].rejected)
    assert 0 < rejected < 60
    assert found.summary["pairs"] == len(found.differences) == 60 - rejected
    assert len(found.requests) == 120 - rejected
    assert any(f"rejected {rejected} requests" in note for note in found.notes)
    assert any(f"{rejected} requests that scenario 1 finished are in no pair" in note for note in found.notes)


def test_a_request_that_never_fits_names_the_scenario() -> None:
    with pytest.raises(InputError, match=r"scenario 2: .*or --set load.on_error=skip"):
        compare([scenario(), scenario(kv_cache={"blocks": 30})])


def test_the_baselines_load_counts_for_all() -> None:
    other = scenario(seed=3, objectives={"ttft_ms": 5}, load={"speed_up": 2.0})
    found = compare([scenario(), other])
    assert [n.split(" of ")[0] for n in found.notes[:3]] == ["load.speed_up", "seed", "objectives.ttft_ms"]
    assert set(found.verdicts.outcome) == {"same"}


def test_settings_count_for_all() -> None:
    found = compare([scenario(), scenario(load={"limit": 20})], settings={"limit": 12})
    assert found.summary["pairs"] == 12


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (scenario(load={"limit": 20}), "load.limit is 20 and that of scenario 1 is none.*--set load.limit=N"),
        (scenario(rate=7.0), "load.generator is not that of scenario 1"),
        (scenario(load={"generator": None, "trace": "a.csv"}), "load.trace is not that of scenario 1"),
    ],
)
def test_other_requests_cannot_be_paired(other: Scenario, message: str) -> None:
    with pytest.raises(InputError, match=f"scenario 2: {message}"):
        compare([scenario(), other])


def test_one_scenario_is_too_few() -> None:
    with pytest.raises(InputError, match="needs two scenarios or more"):
        compare([scenario()])
    with pytest.raises(InputError, match="give 2 to"):
        compare([scenario(), scenario()], uncertainty=1)


def test_equal_curves_err_alike() -> None:
    one, other, third = (
        kernel_factors(deployment_of(s), 0, 4)
        for s in (scenario(), scenario(replicas=2), scenario(device="nvidia-h100-sxm-80gb"))
    )
    assert one == other
    assert all(one[family] != third[family] for family in one)


def test_the_models_error_cancels_between_equal_kernels() -> None:
    scenarios = [scenario(), scenario(batching={"max_num_batched_tokens": 256, "max_num_seqs": 64})]
    found = compare(scenarios, uncertainty=6)
    assert found.verdicts.equals(compare(scenarios, uncertainty=6).verdicts)
    tpot = found.verdicts.set_index(["metric", "statistic"]).loc[("tpot", "mean")]
    width = tpot.model_high - tpot.model_low
    alone = [run(scenarios[0], factors={"gemm": f}).summary["latency_ms"]["tpot"]["mean"] for f in (0.7, 1.4)]
    assert 0 < width < (alone[1] - alone[0]) / 1e3
    assert set(compare([scenario(), scenario()], uncertainty=2).verdicts.outcome) == {"same"}


@pytest.mark.parametrize(
    ("difference", "outcome", "words"),
    [
        (Difference(1.0, 1.0, "lower"), "same", "no difference"),
        (Difference(1.0, 0.9, "lower", (-0.2, 0.1)), "noise", "noise (10.0% lower)"),
        (Difference(1.0, 0.9, "lower"), "too few", "too few requests to tell (10.0% lower)"),
        (Difference(1.0, 0.9, "lower", tested=False), "untested", "10.0% lower"),
        (Difference(1.0, 0.9, "lower", (-0.2, -0.1)), "better", "better: 10.0% lower"),
        (Difference(1.0, 0.9, "higher", (-0.2, -0.1)), "worse", "worse: 10.0% lower"),
        (
            Difference(1.0, 0.9, "lower", (-0.2, -0.1), (-1.0, 0.5)),
            "model error",
            "within the model's own error (10.0% lower)",
        ),
        (Difference(1.0, 1.2, "lower", None, (0.1, 0.3), False), "worse", "worse: 20.0% higher"),
        (Difference(1.0, 1.2, None, None, (0.1, 0.3), False), "other", "20.0% higher"),
        (Difference(0.0, 0.002, "lower", (0.001, 0.003)), "worse", "worse: 2 ms higher"),
    ],
)
def test_verdicts(difference: Difference, outcome: str, words: str) -> None:
    assert difference.outcome == outcome
    assert difference.words("ms", 1e3) == words


def test_bins_keep_equal_values_together() -> None:
    assert len(np.unique(quantile_bins(np.full(9, 5.0)))) == 1
    bins = quantile_bins(np.arange(100.0))
    assert np.bincount(bins).tolist() == [25, 25, 25, 25]
    assert (np.diff(bins) >= 0).all()


def test_what_a_user_wrote_is_escaped_on_the_page() -> None:
    page = comparison_page(compare([scenario(name="<b>one"), scenario(name="two")]))
    assert "<b>one" not in page
    assert "&lt;b&gt;one" in page
    check(page)


def test_files_are_labelled_by_name(tmp_path: Path) -> None:
    text = "model: Qwen/Qwen2.5-0.5B\ndevice: nvidia-l4-24gb\nload: {generator: azure-conversation, limit: 20}\n"
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text + "replicas: 2\n")
    found = compare([tmp_path / name for name in ("a.yaml", "b.yaml", "a.yaml")])
    assert found.labels == ["a", "b", "a (2)"]
    assert found.contenders[1].changes == {"replicas": (1, 2)}
