"""Figures of the cache tiers below device memory."""

from __future__ import annotations

from simulator.engine.cluster import Cluster
from simulator.engine.tiers import Tier

GB = 1e9


def tier_figures(cluster: Cluster) -> dict[str, dict[str, float]]:
    """What each tier held and moved by its name, all replicas together; a shared tier counts once."""
    by_name: dict[str, list[Tier]] = {}
    for tiers in cluster.tiers:
        for tier in tiers:
            found = by_name.setdefault(tier.config.name, [])
            if not any(tier is other for other in found):
                found.append(tier)
    return {name: _figures(found) for name, found in by_name.items()}


def _figures(tiers: list[Tier]) -> dict[str, float]:
    counts = [tier.counts for tier in tiers]
    return {
        "hit_tokens": sum(c.loaded_tokens for c in counts),
        "loads": sum(c.loads for c in counts),
        "loaded_gb": sum(c.loaded_bytes for c in counts) / GB,
        "written_gb": sum(c.written_bytes for c in counts) / GB,
        "evicted_gb": sum(c.evicted_bytes for c in counts) / GB,
        "dropped_gb": sum(c.dropped_bytes for c in counts) / GB,
        "resident_gb": sum(tier.store.used for tier in tiers) / GB,
        "capacity_gb": sum(tier.config.capacity for tier in tiers) / GB,
        "read_busy_s": sum(tier.reading.busy for tier in tiers),
        "write_busy_s": sum(tier.writing.busy for tier in tiers),
    }
