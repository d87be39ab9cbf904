"""Bounds against simulation: no run beats them, on any device or layout."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from simulator.assembly.pools import deployment_of
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device, device_names
from simulator.planning.bounds import Bounds, pairs, windows_of
from simulator.planning.evaluate import Question, evaluate, measured
from simulator.planning.load import hold
from simulator.planning.objectives import flatten
from simulator.planning.plan import judge
from simulator.planning.space import Configuration, Space
from simulator.planning.spec import plan_from
from simulator.report.serving.requests import latencies
from simulator.workloads.span import Span

MODELS = (
    "Qwen/Qwen2.5-0.5B",
    "meta-llama/Llama-3.1-8B",
    "mistralai/Mixtral-8x7B-v0.1",
    "deepseek-ai/DeepSeek-V3",
    "openai/gpt-oss-20b",
    "google/gemma-2-9b",
)


def ready(model: str, name: str, fixed: dict[str, object], load: dict[str, object]) -> tuple[Question, Configuration]:
    spec = plan_from(
        {
            "model": model,
            "load": load,
            "objectives": {"ttft_ms": {"p90": 2000, "p99": 4000}, "tpot_ms": {"p99": 100}, "e2e_ms": {"mean": 9000}},
            "devices": [{"device": name, "price_per_hour": 1.0}],
            "fixed": fixed,
        }
    )
    held = hold(Space(spec).check().load)
    configuration = Space(spec).at((0, 0))
    assert configuration is not None
    return Question(held, flatten(spec.objectives, held), None, 0.0), configuration


def generated(count: int, rate: float, prompt: int, output: int, seed: int) -> dict[str, object]:
    return {
        "generator": {
            "arrivals": {"process": "poisson", "rate": rate},
            "prompt_tokens": {"law": "lognormal", "median": prompt, "p90": 3 * prompt, "max": 8000},
            "output_tokens": {"law": "lognormal", "median": output, "p90": 3 * output, "max": 300},
            "requests": count,
            "seed": seed,
        }
    }


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    model=st.sampled_from(MODELS),
    name=st.sampled_from([n for n in device_names() if device(n).architecture is None]),
    tensor=st.sampled_from([1, 2, 4, 8]),
    pipeline=st.sampled_from([1, 2]),
    formats=st.sampled_from([{}, {"precision.weights": "fp8"}, {"precision.weights": "int4", "kv_cache": "fp8"}]),
    limits=st.sampled_from([{"max_num_seqs": 4}, {"max_num_batched_tokens": 512}, {"policy": "orca"}]),
    prompt=st.sampled_from([4, 100, 1500]),
    rate=st.sampled_from([0.5, 20.0]),
    seed=st.integers(0, 3),
)
def test_no_run_beats_its_bounds(
    model: str,
    name: str,
    tensor: int,
    pipeline: int,
    formats: dict[str, object],
    limits: dict[str, object],
    prompt: int,
    rate: float,
    seed: int,
) -> None:
    expert = tensor if "DeepSeek" in model else 1
    fixed = {"parallel.tensor": tensor, "parallel.pipeline": pipeline, "parallel.expert": expert}
    fixed |= {k if "." in k else {"kv_cache": "precision.kv_cache", "policy": "batching.policy"}.get(k, k): v
              for k, v in (formats | limits).items()}  # fmt: skip
    fixed["max_num_seqs"] = fixed.get("max_num_seqs", 256)
    try:
        question, configuration = ready(model, name, fixed, generated(12, rate, prompt, 10, seed))
        deployment = deployment_of(configuration.scenario)
        deployment.law.peak("fp32")
        bounds = Bounds(question.load, question.objectives, open_loop=True)
        bound = bounds.of(configuration, deployment)
    except InputError:
        assume(False)
    assume(bound.holds_longest)
    for replicas in (1, 2):
        result = run(configuration.with_replicas(replicas), source=question.load)
        found = latencies(result)
        for metric, least in bound.latencies.items():
            fine = ~np.isnan(least)
            assert np.all(least[fine] <= found[metric][fine])
        outcome = judge(question, configuration, replicas, result)
        assert all(bound.figures[k] <= v for k, v in outcome.figures.items() if not math.isnan(v))
        assert bound.tension <= outcome.tension
        if outcome.met:
            assert bound.replicas <= replicas


@pytest.mark.parametrize("name", ["nvidia-h100-sxm-80gb", "nvidia-l40s-48gb"])
def test_counts_below_the_bound_fail(name: str) -> None:
    """Where many replicas are needed the bound rules some out, and a run with so many indeed fails."""
    load = generated(400, 60.0, 1500, 40, 1)
    question, configuration = ready("meta-llama/Llama-3.1-8B", name, {}, load)
    bound = Bounds(question.load, question.objectives, open_loop=True).of(
        configuration, deployment_of(configuration.scenario)
    )
    assert bound.replicas > 1
    assert not evaluate(question, configuration, bound.replicas - 1).met


def test_stopping_early_changes_no_verdict() -> None:
    question, configuration = ready("meta-llama/Llama-3.1-8B", "nvidia-l40s-48gb", {}, generated(150, 20, 800, 40, 2))
    for replicas in (1, 2, 4, 8, 16):
        whole = evaluate(question, configuration, replicas, stop=False)
        early = evaluate(question, configuration, replicas)
        assert early.met == whole.met
        assert not early.complete or early == whole


@given(new=st.integers(1, 400), window=st.sampled_from([None, 7, 64, 1000]))
def test_pairs_are_those_of_a_span(new: int, window: int | None) -> None:
    assert pairs(np.array([float(new)]), window, chunked=False)[0] == Span(window).pairs(0, new)


@given(st.lists(st.floats(0.01, 5), min_size=2, max_size=40), st.floats(0.1, 50))
def test_one_server_in_order_satisfies_every_window(work: list[float], pace: float) -> None:
    """Requests that one server does finish by their due times never seem to need two."""
    arrival = np.arange(len(work)) * pace
    free = 0.0
    done = []
    for start, seconds in zip(arrival, work, strict=True):
        free = max(free, start) + seconds
        done.append(free)
    allowed = np.asarray(done) - arrival
    windows = windows_of(arrival, allowed, 0)
    assert windows.replicas(np.asarray(work)) <= 1.0 + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=60), st.sampled_from(["p50", "p90", "p95", "p99"]))
def test_more_misses_than_allowed_break_a_percentile(seconds: list[float], percentile: str) -> None:
    load = generated(len(seconds), 1.0, 10, 10, 0)
    spec = plan_from(
        {
            "model": "Qwen/Qwen2.5-0.5B",
            "load": load,
            "objectives": {"ttft_ms": {percentile: 1000}},
            "devices": ["nvidia-l40s-48gb"],
        }
    )
    (objective,) = flatten(spec.objectives, hold(spec.load))
    values = np.asarray(seconds)
    missed = int((values > 1.0).sum())
    figure = objective.value({"ttft": values})
    assert figure == pytest.approx(np.percentile(values * 1e3, float(percentile[1:])))
    if missed > objective.misses_allowed(len(values)):
        assert not objective.met(figure)


def test_measured_takes_only_the_class(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "t.csv"
    rows = "".join(f"{i * 0.05},{200 if i % 2 else 2000},8,{i % 2}\n" for i in range(60))
    path.write_text("arrival_s,prompt_tokens,output_tokens,priority\n" + rows)
    spec = plan_from(
        {
            "model": "Qwen/Qwen2.5-0.5B",
            "load": {"trace": str(path)},
            "objectives": {"classes": [{"priority": 1, "ttft_ms": {"p50": 500}}]},
            "devices": ["nvidia-l40s-48gb"],
        }
    )
    scenario = Space(spec).check()
    held = hold(scenario.load)
    (objective,) = flatten(spec.objectives, held)
    result = run(scenario, source=held)
    odd = result.requests[result.requests["index"] % 2 == 1]
    assert measured([objective], result)[objective.name] == pytest.approx(odd["ttft_s"].median() * 1e3)
