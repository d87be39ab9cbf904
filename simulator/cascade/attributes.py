"""The requests of a load as plans see them: difficulty and document from the trace, or drawn from seeded laws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.cascade.spec import AttributesSpec, DifficultySpec
from simulator.engine.asked import Asked
from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.policies.plans.plan import Query
from simulator.workloads.generators.building import length_law
from simulator.workloads.requests import RequestSource

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def asked(source: RequestSource, spec: AttributesSpec, seed: int) -> Iterator[Asked]:
    """The requests of a source one by one, in order of arrival.

    Columns of the source count where it has them. Raises `InputError` for values out of range.
    """
    difficulties, documents = (stream(seed, f"request {name}") for name in ("difficulty", "document"))
    law = None if spec.document_tokens is None else length_law("attributes.document_tokens", spec.document_tokens)
    index = 0
    for chunk in source.chunks():
        count = len(chunk)
        hard = chunk.difficulty if chunk.difficulty is not None else _drawn(spec.difficulty, difficulties, count)
        long = chunk.document_tokens
        if long is None:
            long = np.zeros(count, dtype=np.int64) if law is None else law.quantiles(documents.standard_normal(count))
        _check(hard, long, index)
        tenants = np.zeros(count, dtype=np.int64) if chunk.tenant is None else chunk.tenant
        columns = (chunk.arrival_s, chunk.prompt_tokens, chunk.output_tokens, long, hard, tenants)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for row, (arrival, prompt, output, document, difficulty, tenant) in enumerate(rows):
            yield Asked(Query(index + row, prompt, output, document, difficulty, tenant), arrival, chunk, row)
        index += count


def _drawn(spec: DifficultySpec, rng: np.random.Generator, count: int) -> Floats:
    if spec.law == "fixed":
        return np.full(count, spec.value)
    return rng.random(count) if spec.law == "uniform" else rng.beta(spec.a, spec.b, count)


def _check(difficulty: Floats, document: Ints, first: int) -> None:
    for name, values, fine, range_ in (
        ("difficulty", difficulty, (difficulty >= 0) & (difficulty <= 1), "from 0 to 1"),
        ("document_tokens", document, document >= 0, "0 or more"),
    ):
        if not fine.all():
            place = int(np.argmin(fine))
            raise InputError(f"{name} of request {first + place} is {values[place]}: expected {range_}")
