"""Retrieved documents: popularity, identities, and the same requests whatever the chunk size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workloads.generators import Generated, generate
from simulator.workloads.requests import Requests

SPEC: dict[str, Any] = {
    "arrivals": {"process": "poisson", "rate": 5.0},
    "prompt_tokens": {"law": "fixed", "tokens": 30},
    "output_tokens": {"law": "fixed", "tokens": 10},
    "retrieval": {"documents": 50, "per_request": 3, "tokens": {"law": "uniform", "least": 20, "most": 90}},
    "requests": 3000,
    "seed": 3,
}


def whole(load: Generated) -> Requests:
    (requests,) = load.chunks()
    return requests


def test_popularity_is_zipf() -> None:
    """With one document a request, document r has a share of 1 / r over the harmonic number."""
    load = generate({**SPEC, "requests": 20_000, "retrieval": {**SPEC["retrieval"], "per_request": 1}})
    chunks = whole(load).chunks
    assert chunks is not None
    counts = np.bincount(chunks.ids, minlength=50)
    weights = 1 / np.arange(1, 51)
    expected = weights / weights.sum() * 20_000
    assert ((counts - expected) ** 2 / expected).sum() < 85.4  # chi-squared, 49 degrees, 0.1 %


def test_prompts_are_documents_and_a_question() -> None:
    requests = whole(generate(SPEC))
    assert requests.chunks is not None and requests.prefix is not None
    for i in range(200):
        documents = requests.chunks.of(i)
        assert len({d for d, _ in documents}) == 3
        assert sum(n for _, n in documents) + 30 == requests.prompt_tokens[i]
        assert len(requests.prefix.of(i)) * 16 == requests.prompt_tokens[i] - 30


def test_prefixes_are_equal_where_the_documents_before_are() -> None:
    requests = whole(generate(SPEC))
    assert requests.chunks is not None and requests.prefix is not None
    seen: dict[int, tuple[object, ...]] = {}
    for i in range(1000):
        ids = requests.prefix.of(i).tolist()
        chain: tuple[object, ...] = ()
        for document, tokens in requests.chunks.of(i):
            chain = (*chain, document)
            for block in range(tokens // 16):
                assert seen.setdefault(ids.pop(0), (*chain, "block", block)) == (*chain, "block", block)
    assert len(set(seen.values())) == len(seen)


def test_chunk_size_changes_nothing() -> None:
    load = generate(SPEC)
    once, parts = whole(load), list(replace(load, chunk=700).chunks())
    assert len(parts) > 1
    assert once.chunks is not None and once.prefix is not None
    assert np.array_equal(once.chunks.ids, np.concatenate([p.chunks.ids for p in parts if p.chunks]))
    assert np.array_equal(once.prefix.ids, np.concatenate([p.prefix.ids for p in parts if p.prefix]))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"retrieval": {**SPEC["retrieval"], "per_request": 51}}, "retrieval.per_request"),
        ({"retrieval": {**SPEC["retrieval"], "popularity": 1}}, "popularity"),
        ({"prefix": {"groups": 2, "tokens": 16}}, "prefix"),
    ],
)
def test_bad_specs_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        generate({**SPEC, **changes})
