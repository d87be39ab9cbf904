"""Late-interaction retrieval: multiply-adds and bytes by what has to be scored and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.late_interaction import TokenIndex, plaid, vanilla
from simulator.workloads.operators import Gemm
from tests.pipelines.running import run

INDEX = TokenIndex(1e6, 60.0, 150.0, 128, 2**16, 32.0, DTYPES["fp16"])


def macs(search):
    return sum(op.flops() / 2 for part in search for op in part.work if isinstance(op, Gemm))


def read(search):
    return sum(part.reads.requests * part.reads.bytes for part in search if part.reads)


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 10**5))
def test_vanilla_search_scores_near_tokens_and_all_of_the_candidates_padded(query, probes, candidates):
    found = vanilla(INDEX, query, probes, candidates)
    near = query * probes * 60e6 / 2**16
    assert macs(found) == pytest.approx(query * 128 * (2**16 + near + candidates * 150))
    assert read(found) == pytest.approx((near + candidates * 60) * 36)


@given(st.integers(1, 64), st.integers(4, 10**4), st.floats(0.01, 1))
def test_plaid_decompresses_a_quarter_of_the_documents_without_padding(query, documents, kept):
    found = plaid(INDEX, query, 4, documents, kept)
    assert macs(found) == pytest.approx(query * 128 * (2**16 + documents / 4 * 60))
    assert read(found) == pytest.approx(documents / 4 * 60 * 36)


def test_pruned_centroids_are_not_looked_up():
    def first_pass(kept):
        return sum(op.bytes() for op in plaid(INDEX, 32, 4, 4096, kept)[1].work)

    tokens = 32 * 4 * 60e6 / 2**16 * 60
    assert first_pass(0.5) - first_pass(0.25) == pytest.approx(tokens * 0.25 * 32 * 2)


def test_a_query_takes_its_reads_and_its_operators():
    """On the slowest of stores the bytes of the residuals are the latency."""
    search = {"kind": "late-interaction", "engine": "plaid", "device": "cpu", "passages": 10**6, "candidates": 4000}
    result = run(
        sources={"q": {"arrivals": {"process": "closed", "clients": 1}, "items": 2, "to": "s"}},
        devices={"cpu": {"device": "intel-xeon-8168"}},
        stores={"slow": {"iops": 1e9, "gb_per_s": 1e-5, "latency_us": 0}},
        stages={"s": {"service": {**search, "store": "slow"}}},
    )
    assert result.summary["latency_ms"]["mean"] == pytest.approx(1000 * 68 * 36 / 1e4 * 1e3, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"longest": 10}, "longest 10 is below"), ({"engine": "vanilla", "kept": 0.5}, "kept is for engine plaid")],
)
def test_wrong_fields_are_named(change, message):
    search = {"kind": "late-interaction", "engine": "plaid", "device": "cpu", "passages": 10, "candidates": 4, **change}
    with pytest.raises((InputError, ValueError), match=message):
        run(
            sources={"q": {"arrivals": {"process": "closed", "clients": 1}, "items": 1, "to": "s"}},
            devices={"cpu": {"device": "intel-xeon-8168"}},
            stages={"s": {"service": search}},
        )
