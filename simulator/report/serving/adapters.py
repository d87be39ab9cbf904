"""Figures of the adapters of a run."""

from __future__ import annotations

from typing import Any

from simulator.engine.cluster import Cluster

GB = 1e9


def adapter_figures(cluster: Cluster) -> dict[str, Any] | None:
    """What was loaded and waited for, all replicas together, bytes of one device each; None without adapters.

    `request_wait_s` adds up, over requests, the seconds in which their adapter was loaded or waited for a slot.
    """
    found = [replica.adapters for replica in cluster.all_replicas if replica.adapters is not None]
    if not found:
        return None
    counts = [adapters.counts for adapters in found]
    resident, loads = sum(adapters.memory.there() for adapters in found), sum(c.loads for c in counts)
    return {
        "resident_at_end": resident,
        "loads": loads,
        "evictions": loads + sum(adapters.initial for adapters in found) - resident,
        "loaded_gb": sum(c.bytes for c in counts) / GB,
        "host_link_busy_s": sum(c.link_seconds for c in counts),
        "weight_change_s": sum(c.merge_seconds for c in counts),
        "request_wait_s": sum(c.waited for c in counts),
        "waiting_requests": sum(len(c.waiting) for c in counts),
    }
