"""What a load looks like: rate, burstiness, lengths, sharing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.requests import Requests, RequestSource


def describe(source: RequestSource) -> dict[str, Any]:
    """Statistics of all requests of a source; names carry their units."""
    chunks = list(source.chunks())
    arrival = np.concatenate([c.arrival_s for c in chunks])
    prompt = np.concatenate([c.prompt_tokens for c in chunks])
    output = np.concatenate([c.output_tokens for c in chunks])
    gaps = np.diff(arrival)
    duration = float(arrival[-1] - arrival[0])
    facts: dict[str, Any] = {
        "requests": len(arrival),
        "duration_s": duration,
        "rate_requests_per_s": (len(arrival) - 1) / duration if duration > 0 else None,
        "arrival_cv": float(gaps.std() / gaps.mean()) if len(gaps) and gaps.mean() > 0 else None,
        "prompt_tokens": _lengths(prompt),
        "output_tokens": _lengths(output),
        "length_correlation": _correlation(prompt, output),
        "prefix_cache_hit_share_infinite_cache": _sharing(chunks, int(prompt.sum())),
        "sessions": _sessions(chunks),
        "measured_columns": sorted({name for c in chunks for name in (c.measured or {})}),
    }
    skipped = getattr(source, "skipped_by_reason", None)
    if skipped:
        facts["skipped_rows"] = dict(skipped)
        facts["skipped_examples"] = list(getattr(source, "skipped_examples", []))
    return facts


def _lengths(values: NDArray[np.int64]) -> dict[str, float]:
    cuts = np.percentile(values, [50, 90, 99])
    return {
        "total": int(values.sum()),
        "mean": float(values.mean()),
        "p50": float(cuts[0]),
        "p90": float(cuts[1]),
        "p99": float(cuts[2]),
        "max": int(values.max()),
    }


def _correlation(a: NDArray[np.int64], b: NDArray[np.int64]) -> float | None:
    """Spearman's rank correlation; None where either length never varies."""
    first, second = (np.argsort(np.argsort(v, kind="stable"), kind="stable").astype(np.float64) for v in (a, b))
    if len(a) < 2 or a.min() == a.max() or b.min() == b.max():
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _sharing(chunks: list[Requests], prompt_tokens: int) -> float | None:
    """Share of prompt tokens that an infinite prefix cache would hit; None without prefix hashes."""
    if all(c.prefix is None for c in chunks):
        return None
    seen: set[int] = set()
    hit = 0
    for chunk in chunks:
        if chunk.prefix is None:
            continue
        for i in range(len(chunk)):
            ids = chunk.prefix.of(i).tolist()
            known = next((n for n, block in enumerate(ids) if block not in seen), len(ids))
            hit += min(known * chunk.prefix.block_tokens, int(chunk.prompt_tokens[i]) - 1)
            seen.update(ids)
    return hit / prompt_tokens


def _sessions(chunks: list[Requests]) -> int | None:
    found = [c.session[c.session >= 0] for c in chunks if c.session is not None]
    return len(np.unique(np.concatenate(found))) if found else None
