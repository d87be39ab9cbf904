"""`simulator list` as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def devices() -> pd.DataFrame:
    """One row a device that comes with the package, by its name; units are in the names of the columns.

    `tflop_per_s` is the datasheet's peak without sparsity in `peak_format`; `usd_per_hour` is missing where unknown.
    """
    import pandas as pd

    from simulator.hardware.architectures import architecture_name
    from simulator.hardware.device import device, device_names

    rows: list[dict[str, object]] = []
    for found in map(device, device_names()):
        best = next(f for f in ("bf16", "fp16", "fp32", *found.peak_flops) if f in found.peak_flops)
        rows.append(
            {
                "device": found.id,
                "kind": found.kind,
                "generation": found.generation,
                "timed_by": architecture_name(found.architecture),
                "peak_format": best,
                "tflop_per_s": found.peak_flops[best] / 1e12,
                "memory_gb": found.memory_capacity / 1e9,
                "bandwidth_gb_per_s": found.memory_bandwidth / 1e9,
                "tdp_w": found.tdp,
                "usd_per_hour": found.price,
                "source": found.source,
            }
        )
    return pd.DataFrame(rows).set_index("device")


def models() -> pd.DataFrame:
    """One row a language model that comes with the package, by its name: sizes in numbers, and the source."""
    import pandas as pd

    from simulator.workloads.models import model, model_names

    rows = [
        {
            "model": found.name,
            "architecture": found.architecture,
            "parameters": found.parameters(),
            "active_parameters": found.active_parameters(),
            "layers": len(found.layers),
            "hidden": found.hidden,
            "source": found.source,
        }
        for found in map(model, model_names())
    ]
    return pd.DataFrame(rows).set_index("model")


def catalogue(kind: str) -> pd.DataFrame:
    """What `simulator list KIND` shows: policies, scenarios, plans, workloads, graphs, links, nodes, dtypes and more.

    Cells are words as the command prints them, except those of `devices` and `models`, which are numbers. Raises
    `InputError` for an unknown kind.
    """
    import pandas as pd

    from simulator.report.catalogue import kind_of, rows

    known = {"devices": devices, "models": models}
    plural = kind_of(kind)
    if plural in known:
        return known[plural]()
    found = pd.DataFrame(rows(plural))
    return found if plural == "policies" else found.set_index(found.columns[0])
