"""Many candidates at once against one at a time, and the front against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.errors import InputError
from simulator.inference import infer
from simulator.kinds import scenario_of, simulate
from simulator.planning.networks.front import front
from simulator.planning.networks.space import Space
from simulator.planning.networks.timing import distinct
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.catalogue import entry
from simulator.workloads.operators import Fused, Gemm

SPACE = {
    "format": ["fp32", "fp16"],
    "options.resolution": [128, 160, 224],
    "options.width": [0.5, 1.0, 1.4],
    "options.stages.2.kernel": [3, 5],
    "options.stages.1.expand": [1, 4, 6],
    "options.stages.3.repeats": [1, 2, 4],
    "runtime": ["compiled", "eager"],
}


def search(**changed):
    fields = {
        "kind": "network-search",
        "scenario": {"model": "mobilenet-v2", "device": "nvidia-l4-24gb"},
        "space": SPACE,
        "candidates": 12,
        "seed": 3,
    }
    return simulate(scenario_of({**fields, **changed}))


def alone(row):
    """The same candidate as an inference scenario of its own."""
    options = {**entry("mobilenet-v2").options}
    options["stages"] = [dict(s) for s in options["stages"]]
    for name, value in row.items():
        if name.startswith("options.stages."):
            _, _, stage, field = name.split(".")
            options["stages"][int(stage)][field] = value
        elif name.startswith("options."):
            options[name.removeprefix("options.")] = value
    fields = {"format": row["format"], "runtime": row["runtime"], "options": options}
    return infer(InferenceScenario(model="mobilenet-v2", device="nvidia-l4-24gb", **fields))


def test_candidates_side_by_side_are_timed_as_they_are_alone():
    table = search().table
    assert len(table) == 12
    for row in table.to_dict("records"):
        summary = alone({k: v.item() if hasattr(v, "item") else v for k, v in row.items()}).summary
        for name in ("latency_ms", "energy_mj", "parameters", "macs", "weights_mb", "peak_activation_mb"):
            assert row[name] == pytest.approx(summary[name], rel=1e-9), name


def test_small_spaces_are_listed_in_full_and_large_ones_drawn_without_repeats():
    space = Space({"a": [1, 2, 3], "b": ["x", "y"]})
    assert len(np.unique(space.candidates(100, 0), axis=0)) == 6
    large = Space({name: list(range(10)) for name in "abcdef"})
    drawn = large.candidates(5_000, 1)
    assert len(np.unique(drawn, axis=0)) == 5_000
    assert (drawn == large.candidates(5_000, 1)).all()
    # every value of every field about equally often
    for column in drawn.T:
        assert np.bincount(column, minlength=10).min() > 350


@given(arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.integers(0, 5)))
def test_the_front_is_what_nothing_dominates(costs):
    rows = [tuple(r) for r in costs.astype(np.float64).tolist()]
    kept = [rows[i] for i in front(costs.astype(np.float64))]
    undominated = {r for r in rows if not any(o != r and all(a <= b for a, b in zip(o, r, strict=True)) for o in rows)}
    assert len(kept) == len(set(kept))
    assert set(kept) == undominated


@settings(max_examples=30)
@given(
    arrays(np.float64, 40, elements=st.sampled_from([8.0, 16.0, 24.0])),
    arrays(np.float64, 40, elements=st.sampled_from([1.0, 2.0])),
)
def test_distinct_shapes_cover_all_candidates(m, extra):
    small, places = distinct(Fused(Gemm(m, 4.0, 8.0), extra, 0.0), 40)
    assert (small.main.m[places] == m).all()
    assert (small.more_flops[places] == extra).all()
    assert len(small.main.m) == len(set(zip(m.tolist(), extra.tolist(), strict=True)))


def test_limits_and_scores_choose_the_front():
    found = search(candidates=200, limits={"parameters": 3e6}, score=f"{__name__}:shallow", maximise=["score"])
    best = found.table.iloc[found.best]
    assert (best["parameters"] <= 3e6).all()
    assert (best["latency_ms"].diff().dropna() >= 0).all()
    assert (best["score"].diff().dropna() > 0).all()


def shallow(table):
    return -table["options.stages.3.repeats"].to_numpy(dtype=float)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": {"options.stages.9.kernel": [3]}}, "options.stages.9"),
        ({"minimise": ["latency"]}, "unknown figure 'latency'"),
        ({"limits": {"latency_ms": 1e-9}}, "no candidate is within"),
        ({"score": "nowhere:f"}, "score"),
        ({"minimise": [], "maximise": []}, "name the figures"),
        ({"space": {"device": ["nvidia-l5"]}}, "device"),
    ],
)
def test_wrong_searches_are_one_line(changed, said):
    with pytest.raises(InputError, match=said):
        search(**changed)
