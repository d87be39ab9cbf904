"""Generators against the statistics that they promise."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workloads.catalogue import load_generator, load_names
from simulator.workloads.generators import Generated, generate
from simulator.workloads.requests import Requests
from simulator.workloads.traces import describe

SPEC: dict[str, Any] = {
    "arrivals": {"process": "poisson", "rate": 5.0},
    "prompt_tokens": {"law": "lognormal", "median": 1000, "p90": 2500, "max": 100_000},
    "output_tokens": {"law": "lognormal", "median": 100, "sigma": 0.5, "max": 100_000},
    "requests": 20_000,
    "seed": 1,
}


def spec(**changes: Any) -> Generated:
    return generate({**SPEC, **changes})


def joined(load: Generated) -> Requests:
    chunks = list(load.chunks())
    return Requests(
        np.concatenate([c.arrival_s for c in chunks]),
        np.concatenate([c.prompt_tokens for c in chunks]),
        np.concatenate([c.output_tokens for c in chunks]),
    )


@pytest.mark.parametrize(
    ("arrivals", "rate", "cv"),
    [
        ({"process": "poisson", "rate": 5.0}, 5.0, 1.0),
        ({"process": "gamma", "rate": 5.0, "cv": 2.0}, 5.0, 2.0),
        ({"process": "gamma", "rate": 5.0, "cv": 0.5}, 5.0, 0.5),
        ({"process": "weibull", "rate": 5.0, "shape": 0.7}, 5.0, 1.4624),
        ({"process": "constant", "rate": 5.0}, 5.0, 0.0),
    ],
)
def test_rate_and_burstiness(arrivals: dict[str, Any], rate: float, cv: float) -> None:
    facts = describe(spec(arrivals=arrivals))
    assert facts["rate_requests_per_s"] == pytest.approx(rate, rel=0.05)
    assert facts["arrival_cv"] == pytest.approx(cv, rel=0.06, abs=1e-6)


def test_mmpp_has_the_mean_rate_of_its_states() -> None:
    facts = describe(spec(arrivals={"process": "mmpp", "rates": [12, 0], "dwell_s": [5, 10]}, requests=50_000))
    assert facts["rate_requests_per_s"] == pytest.approx(4.0, rel=0.05)
    assert facts["arrival_cv"] > 2


def test_diurnal_rate_swings() -> None:
    times = joined(spec(arrivals={"process": "diurnal", "rate": 50.0, "swing": 0.8, "period_s": 200})).arrival_s
    quarter = np.floor(times % 200 / 50).astype(int)
    counts = np.bincount(quarter, minlength=4)
    assert counts[0] / counts[2] == pytest.approx((1 + 0.8 * 2 / np.pi) / (1 - 0.8 * 2 / np.pi), rel=0.1)


def test_stages_have_their_counts() -> None:
    load = generate(
        {
            **{k: v for k, v in SPEC.items() if k != "requests"},
            "arrivals": {"process": "staged", "stages": [{"rate": 4, "duration": 10}, {"rate": 1, "duration": 20}]},
        }
    )
    times = joined(load).arrival_s
    assert (len(times), (times < 10).sum(), times[40]) == (60, 40, 10.0)


def test_length_quantiles() -> None:
    found = joined(spec())
    assert np.quantile(found.prompt_tokens, [0.5, 0.9]) == pytest.approx([1000, 2500], rel=0.03)
    assert np.log(found.output_tokens).std() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("wanted", [-0.6, 0.0, 0.8])
def test_rank_correlation(wanted: float) -> None:
    """Spearman's rho of a Gaussian copula is 6/pi asin(r/2)."""
    facts = describe(spec(correlation=wanted))
    assert facts["length_correlation"] == pytest.approx(6 / np.pi * np.arcsin(wanted / 2), abs=0.02)


def test_laws() -> None:
    assert set(joined(spec(prompt_tokens=7, requests=50)).prompt_tokens.tolist()) == {7}
    uniform = joined(spec(prompt_tokens={"law": "uniform", "least": 3, "most": 6})).prompt_tokens
    assert np.bincount(uniform)[3:] / len(uniform) == pytest.approx([0.25] * 4, abs=0.02)
    table = {"law": "empirical", "quantile": [0, 0.5, 1], "tokens": [10, 20, 100]}
    assert np.quantile(joined(spec(prompt_tokens=table)).prompt_tokens, [0.25, 0.5, 0.75]) == pytest.approx(
        [15, 20, 60], rel=0.05
    )


@pytest.mark.parametrize(
    "changes", [{}, {"prefix": {"groups": 3, "tokens": 64}}, {"sessions": {"turns": 3}, "requests": 500}]
)
def test_chunks_change_nothing(changes: dict[str, Any]) -> None:
    load = spec(**{"requests": 5000, **changes})
    whole, cut = joined(load), joined(replace(load, chunk=77))
    for name in ("arrival_s", "prompt_tokens", "output_tokens"):
        assert getattr(whole, name).tobytes() == getattr(cut, name).tobytes()


def test_a_stream_does_not_shift_another() -> None:
    plain, grouped = joined(spec()), joined(spec(prefix={"groups": 3, "tokens": 64}))
    assert plain.arrival_s.tobytes() == grouped.arrival_s.tobytes()
    assert (grouped.prompt_tokens - plain.prompt_tokens == 64).all()


def test_shared_prefixes_are_shared() -> None:
    load = spec(prompt_tokens=400, prefix={"groups": 4, "tokens": 160}, requests=2000)
    assert describe(load)["prefix_cache_hit_share_infinite_cache"] == pytest.approx(160 / 560, rel=0.01)


def test_turns_repeat_what_was_said() -> None:
    load = spec(prompt_tokens=32, output_tokens=16, sessions={"turns": 3, "think_s": 1.0}, requests=300)
    (found,) = load.chunks()
    assert found.session is not None
    assert found.prefix is not None
    assert (np.diff(found.arrival_s) >= 0).all()
    for session in range(20):
        turns = np.flatnonzero(found.session == session)
        assert found.prompt_tokens[turns].tolist() == [32, 80, 128][: len(turns)]
        blocks = [found.prefix.of(int(i)).tolist() for i in turns]
        assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(blocks))


def test_users_take_turns() -> None:
    load = spec(prompt_tokens=32, output_tokens=16, sessions={"users": 5, "max_tokens": 200}, requests=100)
    (found,) = load.chunks()
    assert found.prompt_tokens.max() + 16 <= 200
    assert found.session is not None
    assert found.session[:10].tolist() == [0, 1, 2, 3, 4] * 2


@pytest.mark.parametrize("name", load_names())
def test_shipped_loads_can_be_made(name: str) -> None:
    found = next(replace(generate(load_generator(name)), requests=200).chunks())
    assert len(found) == 200
    assert (found.prompt_tokens >= 1).all()


def test_shipped_means_are_the_published_ones() -> None:
    found = joined(generate(load_generator("sharegpt")))
    assert found.prompt_tokens.mean() == pytest.approx(161.31, rel=0.05)
    assert found.output_tokens.mean() == pytest.approx(337.99, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arrival": {}}, "unknown generator field 'arrival': did you mean arrivals"),
        ({"arrivals": "poisson"}, "arrivals is 'poisson': give a mapping"),
        ({"arrivals": {"process": "poison", "rate": 1}}, "unknown arrivals.process 'poison': did you mean poisson"),
        ({"arrivals": {"process": "poisson"}}, "arrivals lacks 'rate'"),
        ({"arrivals": {"process": "poisson", "rate": 0}}, "arrivals.rate is 0: give a number from 1e-09 to 1e+09"),
        ({"arrivals": {"process": "poisson", "rate": float("nan")}}, "arrivals.rate is nan"),
        ({"arrivals": {"process": "poisson", "rate": "5"}}, "arrivals.rate is '5'"),
        ({"arrivals": {"process": "gamma", "rate": 5, "vc": 2}}, "unknown arrivals field 'vc': did you mean cv"),
        ({"arrivals": {"process": "mmpp", "rates": [1], "dwell_s": [1]}}, "give two or more of each"),
        ({"arrivals": {"process": "mmpp", "rates": [1, 0], "dwell_s": [1e-6, 1]}}, "1e-06 requests a cycle"),
        ({"arrivals": {"process": "weibull", "rate": 5, "shape": 1e-3}}, "shape is 0.001: give a number from 0.05"),
        ({"arrivals": {"process": "gamma", "rate": 5, "cv": 1e200}}, "arrivals.cv is 1e+200: give a number from"),
        ({"arrivals": {"process": "staged", "stages": [{"rate": 1e6, "duration": 1e6}]}}, "split the stage"),
        ({"prompt_tokens": {"law": "lognormal", "median": 5, "p90": 9, "max": 3, "least": 4}}, "max 3 is below least"),
        ({"arrivals": {"process": "staged", "stages": [{"rate": 1}]}}, "give a list of {rate, duration}"),
        ({"prompt_tokens": {"law": "normal"}}, "unknown prompt_tokens.law 'normal'"),
        ({"prompt_tokens": {"law": "fixed", "tokens": 0}}, "prompt_tokens: tokens is 0: give a whole number of tokens"),
        ({"prompt_tokens": {"law": "lognormal", "median": 5}}, "takes either sigma or p90"),
        ({"prompt_tokens": {"law": "lognormal", "median": 5, "p90": 2}}, "p90 2 is below the median"),
        ({"prompt_tokens": {"law": "empirical", "quantile": [0, 1], "tokens": [5]}}, "of equal length"),
        ({"requests": 0}, "requests is 0: give a whole number from 1"),
        ({"requests": 1.5}, "requests is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"correlation": 2}, "correlation is 2: give a number from -1 to 1"),
        ({"prefix": {"groups": 3}}, "prefix.tokens is None"),
        ({"sessions": {"turns": 0}}, "sessions.turns: tokens is 0"),
    ],
)
def test_wrong_specifications_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        spec(**changes)
    assert message in str(caught.value)


def test_long_shared_prefixes_come_in_small_chunks() -> None:
    load = spec(prefix={"groups": 1000, "tokens": 4_000_000}, requests=40)
    sizes = [len(chunk) for chunk in load.chunks()]
    assert sum(sizes) == 40
    assert max(sizes) <= 17
