"""Figures of sequences swapped to host memory and back."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.replica import Replica

GB = 1e9
WAYS = ("out", "in")


def swap_figures(replicas: Sequence[Replica]) -> dict[str, float]:
    """What was swapped, all replicas together; empty without swapping. Calls are those of one device a replica."""
    copies = [r.copies for r in replicas if r.copies is not None]
    if not copies:
        return {}
    counts = [c.counts for c in copies]
    figures: dict[str, float] = {}
    for way, name in enumerate(WAYS):
        figures |= {
            f"swaps_{name}": sum(c.sequences[way] for c in counts),
            f"tokens_{name}": sum(c.tokens[way] for c in counts),
            f"{name}_gb": sum(c.bytes[way] for c in counts) / GB,
            f"calls_{name}": sum(c.calls[way] for c in counts),
            f"{name}_link_busy_s": sum(c.channels[way].busy for c in copies),
        }
    return figures | {
        "stall_s": sum(c.stall for c in counts),
        "recomputed_for_lack_of_room": sum(c.swapping.refused for c in copies),
        "capacity_gb": sum(c.setup.blocks * c.setup.host_bytes for c in copies) / GB,
    }
