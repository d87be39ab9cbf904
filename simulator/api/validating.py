"""`simulator validate` as a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from simulator.calibrate.errors import Comparison


def validate(kind: str, path: str | Path, **options: Any) -> pd.DataFrame:
    """Predictions against the measurements of a file or folder, one row a group, as `simulator validate KIND` does.

    `kind` is kernels, steady-state, serving, training, models or graphs. Columns: what the group is, `n` rows,
    `mape`, `median_ape`, `p90_ape` (absolute errors as fractions of the measured value), `bias` (their signed mean)
    and `coverage_90`, the share within the interval claimed, where there is one. The last row is all together; rows
    that cannot be modelled are counted by reason in the frame's `attrs["skipped"]`. `options` are those of the
    command: `calibrated` and `held_out` of kernels, `jobs` of steady-state, `calibration` and `by` of graphs. Raises
    `InputError` for anything that cannot be used.
    """
    import pandas as pd

    checks = _checks()
    if kind not in checks:
        raise unknown_name("kind of measurement", kind, checks)
    summary = checks[kind](Path(path), **options).summary()
    rows = [{**row.pop("group"), **row} for row in summary["groups"]]
    if rows:
        names = [name for name in rows[0] if name not in summary["overall"]]
        rows.append(dict.fromkeys(names, "all") | summary["overall"])
    found = pd.DataFrame(rows)
    found.attrs["skipped"] = summary["skipped"]
    return found


def _checks() -> dict[str, Callable[..., Comparison]]:
    from simulator.calibrate.check_graphs import check_graphs
    from simulator.calibrate.check_kernels import check_kernels
    from simulator.calibrate.check_models import check_models
    from simulator.calibrate.check_serving import check_serving
    from simulator.calibrate.check_steady_state import check_steady_state
    from simulator.calibrate.check_training import check_training

    return {
        "kernels": check_kernels, "steady-state": check_steady_state, "serving": check_serving,
        "training": check_training, "models": check_models, "graphs": check_graphs,
    }  # fmt: skip
