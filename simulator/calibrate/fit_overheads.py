"""Fit what each engine release adds around its kernels to measured deployments: one set for all models and devices."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from simulator.calibrate.check_steady_state import mean_latencies, read_deployments, release_of
from simulator.errors import InputError
from simulator.hardware.overheads import StepOverheads
from simulator.report.files import write_text

Floats = NDArray[np.float64]
Row = Mapping[str, Any]

# Start, least and most of each overhead; seconds, but for the share `overlap`.
BOUNDS: dict[str, tuple[float, float, float]] = {
    "sampling": (1.5e-5, 1e-6, 1e-4),
    "scheduler": (3e-4, 1e-6, 5e-3),
    "ingestion": (6e-3, 1e-4, 5e-2),
    "frontend": (1e-4, 1e-6, 5e-3),
    "overlap": (0.5, 0.01, 0.95),
    "eager": (6e-5, 5e-6, 2e-4),
}
FEWEST, MOST = 24, 45  # rows of a release that are worth a fit, and that a fit looks at
TOLERANCE = 0.1  # log error beyond which a row counts as an outlier
DIGITS = 2  # more than these the rows do not tell


def fit_overheads_file(
    path: str | Path, folder: str | Path, *, jobs: int = -1, say: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Fit every release with enough rows in a CSV file of deployments; write `<engine>-<release>.yaml` into `folder`.

    Two thirds of the rows are fitted, the others judge the fit. The same rows give the same bytes.
    """
    releases: dict[str, list[Row]] = {}
    for row in read_deployments(path):
        releases.setdefault(release_of(row), []).append(row)
    written = []
    for name, rows in sorted(releases.items()):
        modelled = [r for r in rows if str(r.get("mode", "agg")) == "agg"]
        if len(modelled) < FEWEST:
            continue
        text = fit_overheads(name, modelled, jobs=jobs, say=say)
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_text(Path(folder) / f"{name}.yaml", text)
        written.append(Path(folder) / f"{name}.yaml")
    if not written:
        raise InputError(f"no engine release has {FEWEST} rows that can be modelled", file=path)
    return written


def fit_overheads(
    name: str, rows: Sequence[Row], *, jobs: int = -1, say: Callable[[str], None] = lambda _: None
) -> str:
    """The overheads file of one release: least squares of log TTFT and TPOT, outliers damped."""
    from joblib import Parallel, delayed
    from scipy.optimize import least_squares

    engine = name.split("-", maxsplit=1)[0]
    inside = [r for r in rows if not _held_out(r)]
    inside = inside[:: -(-len(inside) // MOST)]
    low, high = (np.log([BOUNDS[n][i] for n in BOUNDS]) for i in (1, 2))

    with Parallel(n_jobs=jobs, batch_size=4) as workers:

        def errors(x: Floats, over: Sequence[Row] = inside) -> Floats:
            """Log errors of TTFT and TPOT (2 x rows,); rows that cannot be modelled have none."""
            host = StepOverheads(**dict(zip(BOUNDS, np.exp(x).tolist(), strict=True)), engine=engine)
            found = workers(delayed(mean_latencies)(row, host) for row in over)
            pairs = [
                (np.log(a[0] * 1e3 / r["ttft_mean_ms"]), np.log(a[1] * 1e3 / r["tpot_mean_ms"]))
                if not isinstance(a, str) else (0.0, 0.0)
                for a, r in zip(found, over, strict=True)
            ]  # fmt: skip
            return np.array(pairs).ravel()

        start = np.log([BOUNDS[n][0] for n in BOUNDS])
        best = least_squares(
            errors, start, bounds=(low, high), loss="soft_l1", f_scale=TOLERANCE, diff_step=0.1, max_nfev=12
        )
        fitted = {n: float(f"{v:.{DIGITS}g}") for n, v in zip(BOUNDS, np.exp(best.x).tolist(), strict=True)}
        outside = [r for r in rows if _held_out(r)]
        left = np.abs(np.expm1(errors(np.log(list(fitted.values())), outside))).reshape(-1, 2)
    ttft, tpot = np.median(left, axis=0)
    say(f"{name}: TTFT {ttft:.1%}, TPOT {tpot:.1%} off in the median of {len(outside)} held-out rows")
    document = {
        "engine": engine,
        "source": f"Fitted to {len(inside)} deployments of {name}; the median errors of {len(outside)} others are "
        f"{ttft:.1%} (TTFT) and {tpot:.1%} (TPOT)",
        **fitted,
    }
    text = yaml.safe_dump(document, sort_keys=False, width=110)
    return f"# Written by `simulator calibrate --from FILE.csv`.\n{text}"


def _held_out(row: Row) -> bool:
    """The third of the deployments that is never fitted, chosen by a checksum of what was deployed."""
    shape = [row.get(c) for c in ("device", "backend", "model_path", "isl", "osl", "concurrency", "tp_size")]
    return zlib.crc32(repr(shape).encode()) % 3 == 0
