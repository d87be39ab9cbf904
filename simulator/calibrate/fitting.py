"""Fitting curves to measured kernels: least squares of log errors, robust against outliers, the same every time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.calibrate.kernels import Group, predict
from simulator.hardware.calibration import Curve, Residual
from simulator.hardware.device import Device
from simulator.hardware.fabric import Fabric
from simulator.hardware.kernels import (
    AttentionCurve,
    CollectiveCurve,
    DecodeCurve,
    ExpertsCurve,
    GemmCurve,
    StreamingCurve,
)

Floats = NDArray[np.float64]
MOST_ROWS = 1500  # more rows than this do not change twenty parameters
STARTS = 3
TOLERANCE = 0.1  # log errors beyond this count as outliers (soft L1)
DIGITS = 4

# Start, least and most of each fitted parameter. Bounds are what physics or any datasheet allows, not targets.
Bounds = dict[str, tuple[float, float, float]]
_GEMM: Bounds = {
    "compute": (0.8, 0.2, 1.3),
    "memory": (0.85, 0.3, 1.1),
    "feed": (50.0, 5.0, 500.0),
    "tile_loss": (4.0, 0.01, 100.0),
    "wave": (0.5, 0.01, 1.0),
    "throttle": (0.05, 1e-3, 2.0),
    "sharpness": (3.0, 1.2, 10.0),
    "cache_gain": (0.5, 1e-3, 20.0),
    "cache_share": (0.4, 0.05, 1.5),
    "latency": (2e-6, 3e-7, 2e-5),
    "prologue": (1e-6, 1e-9, 2e-5),
    "step": (1e-7, 1e-9, 2e-6),
    "split": (1e-6, 1e-8, 2e-5),
    "ramp": (1e-6, 1e-8, 2e-5),
    "reduction": (0.3, 0.01, 10.0),
    "quantise": (0.05, 1e-3, 100.0),
    "quantise_row": (1e-9, 1e-11, 1e-7),
    "host": (1e-6, 1e-7, 1e-3),
}
_EXPERTS: Bounds = {
    "compute": (0.6, 0.05, 1.3),
    "memory": (0.75, 0.2, 1.1),
    "feed": (50.0, 5.0, 500.0),
    "wave": (0.5, 0.01, 1.0),
    "sharpness": (2.5, 1.1, 10.0),
    "latency": (1e-5, 1e-6, 3e-4),
    "prologue": (2e-6, 1e-9, 5e-5),
    "step": (1e-7, 1e-9, 2e-6),
    "ramp": (3e-6, 1e-8, 5e-5),
    "token_bytes": (3.0, 0.1, 100.0),
    "expert": (1e-8, 1e-11, 1e-6),
    "imbalance": (1.0, 0.01, 5.0),
    "host": (1e-6, 1e-7, 1e-3),
}
_ATTENTION: Bounds = {
    "compute": (0.7, 0.03, 1.3),
    "memory": (0.8, 0.1, 1.5),
    "narrow": (1.0, 0.3, 3.0),
    "wide": (1.0, 0.3, 3.0),
    "softmax": (0.01, 1e-5, 2.0),
    "chain": (0.5, 1e-3, 4.0),
    "throttle": (0.05, 1e-3, 2.0),
    "reread": (0.05, 1e-4, 1.0),
    "latency": (5e-6, 3e-7, 5e-5),
    "tile": (1e-6, 1e-9, 1e-4),
    "ramp": (1e-6, 1e-8, 1e-4),
    "cache_gain": (0.5, 1e-3, 20.0),
    "cache_share": (0.3, 0.03, 1.5),
}
_DECODE: Bounds = {
    "compute": (0.3, 0.001, 1.5),
    "memory": (0.85, 0.05, 1.1),
    "feed": (30.0, 0.3, 500.0),
    "narrow": (1.0, 0.3, 3.0),
    "wide": (1.0, 0.3, 3.0),
    "softmax": (0.01, 1e-5, 1e3),
    "fallback": (1.2, 1.0, 8.0),
    "block": (256.0, 32.0, 4096.0),
    "latency": (4e-6, 3e-7, 5e-5),
    "unit": (2e-6, 1e-8, 1e-3),
    "combine": (2e-6, 1e-8, 5e-5),
    "row": (1e-9, 1e-12, 1e-4),
    "sequence": (1e-5, 1e-9, 1e-3),
    "ramp": (1e-6, 1e-8, 1e-3),
    "cache_gain": (0.5, 1e-3, 20.0),
    "cache_share": (0.3, 0.03, 1.5),
}
_COLLECTIVE: Bounds = {
    "share": (0.8, 0.02, 1.2),
    "latency": (5e-6, 5e-7, 2e-3),
    "hop": (1e-6, 1e-8, 1e-3),
    "ramp": (5e-6, 1e-8, 3e-4),
    "ramp_bytes": (1e6, 1e3, 1e8),
    "crowding": (0.1, 1e-3, 3.0),
    "direct_latency": (4e-6, 5e-7, 1e-4),
    "direct_hop": (2e-7, 1e-9, 3e-5),
    "direct_share": (0.4, 0.01, 3.0),
}
_STREAMING: Bounds = {
    "memory": (0.8, 0.05, 1.2),
    "latency": (2e-6, 2e-7, 1e-4),
    "passes": (1.0, 0.5, 200.0),
    "cache_gain": (0.5, 1e-3, 20.0),
    "cache_share": (0.4, 0.05, 1.5),
}
UNTILED = 1 << 20  # rows of a tile where whole matrices of scores are computed, masked ones too
# Choices that are no numbers are tried one by one.
_CHOICES: dict[type[Any], dict[str, Sequence[Any]]] = {
    AttentionCurve: {"rows": (64, 128, 256), "packed": (False, True)},
    DecodeCurve: {"group": (8, 16, 32, 64)},
}
_BOUNDS: dict[type[Any], Bounds] = {
    GemmCurve: _GEMM,
    ExpertsCurve: _EXPERTS,
    AttentionCurve: _ATTENTION,
    DecodeCurve: _DECODE,
    CollectiveCurve: _COLLECTIVE,
    StreamingCurve: _STREAMING,
}
# What is left free where there are fewer than `ROWS_EACH` rows for each parameter.
ROWS_EACH = 4
_ESSENTIAL: dict[type[Any], tuple[str, ...]] = {
    GemmCurve: ("compute", "memory", "latency", "quantise", "step", "tile_loss"),
    AttentionCurve: ("compute", "memory", "softmax", "latency", "tile", "narrow"),
    CollectiveCurve: ("share", "latency", "ramp", "ramp_bytes"),
    StreamingCurve: ("memory", "latency", "cache_gain", "cache_share"),
}
# What is kept at a default where rows cannot tell it: the window of one kind of kernel, say.
_IDLE = dict.fromkeys(("direct_share", "direct_latency", "direct_hop", "reread", "sequence"), 0.0) | {"passes": 1.0}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A curve, how far the held-out rows lie from it, and their absolute errors."""

    curve: Curve
    residual: Residual
    errors: Floats


def fit(kind: type[Any], rows: Sequence[Group], device: Device, fabric: Fabric, **fixed: Any) -> Fitted:
    """Fit one curve to two thirds of the rows of one or more groups; judge it by the held-out third."""
    inside = [_thinned(_quickest(group.take(~group.held_out())), MOST_ROWS // len(rows)) for group in rows]
    outside = [_quickest(group.take(group.held_out())) for group in rows]
    inside = [group for group in inside if len(group)]
    free = [n for n in _BOUNDS[kind] if n not in fixed and not _useless(n, rows)]
    if sum(map(len, inside)) < ROWS_EACH * len(free):
        free = [n for n in free if n in _ESSENTIAL.get(kind, free)]
    fixed = {**{n: v for n, v in _IDLE.items() if _has(kind, n) and n not in free}, **fixed}
    best: tuple[float, Curve] | None = None
    choices = _CHOICES.get(kind, {})
    if kind is AttentionCurve and all(g.backend == "numpy" for g in rows):
        choices, fixed = {"rows": (UNTILED,)}, {**fixed, "chain": 0.0}
        free = [n for n in free if n != "chain"]
    for chosen in itertools.product(*choices.values()):
        options = {**fixed, **dict(zip(choices, chosen, strict=True))}
        for start in _starts(kind, free, inside):
            cost, curve = _descend(kind, free, start, options, inside, device, fabric)
            if best is None or cost < best[0]:
                best = cost, curve
    assert best is not None
    return _judged(best[1], [g for g in outside if len(g)] or inside, device, fabric)


def _judged(curve: Curve, rows: Sequence[Group], device: Device, fabric: Fabric) -> Fitted:
    """A curve with its errors on these rows."""
    logs = np.concatenate([np.log(predict(g, curve, device, fabric) / g.seconds) for g in rows])
    errors = np.abs(np.expm1(logs))
    spread = float(np.quantile(np.abs(logs), 0.9)) / 1.6449  # 90 % of a normal law lie within 1.645 deviations
    summary = Residual(len(logs), *(_rounded(float(x)) for x in (np.median(errors), errors.mean(), spread)))
    return Fitted(curve, summary, errors)


def _descend(
    kind: type[Any],
    free: Sequence[str],
    start: Floats,
    options: dict[str, Any],
    rows: Sequence[Group],
    device: Device,
    fabric: Fabric,
) -> tuple[float, Curve]:
    from scipy.optimize import least_squares

    low, high = (np.log([_BOUNDS[kind][n][i] for n in free]) for i in (1, 2))
    wanted = np.concatenate([np.log(g.seconds) for g in rows])

    def curve(x: Floats) -> Curve:
        made: Curve = kind(**dict(zip(free, np.exp(x).tolist(), strict=True)), **options)
        return made

    def errors(x: Floats) -> Floats:
        made = curve(x)
        predicted = np.concatenate([predict(g, made, device, fabric) for g in rows])
        return np.asarray(np.log(predicted) - wanted, dtype=np.float64)

    found = least_squares(
        errors,
        np.clip(start, low + 1e-6, high - 1e-6),
        bounds=(low, high),
        loss="soft_l1",
        f_scale=TOLERANCE,
        max_nfev=100,
        diff_step=3e-3,
    )
    rounded = dict(zip(free, (_rounded(v) for v in np.exp(found.x).tolist()), strict=True))
    return float(found.cost), kind(**rounded, **options)


def _starts(kind: type[Any], free: Sequence[str], rows: Sequence[Group]) -> list[Floats]:
    """The usual values, the same with a host that is late, and some scattered ones."""
    first = np.log([_BOUNDS[kind][n][0] for n in free])
    starts = [first]
    if "host" in free:
        late = first.copy()
        late[list(free).index("host")] = np.log(0.9 * np.quantile(np.concatenate([g.seconds for g in rows]), 0.1))
        starts.append(late)
    rng = np.random.default_rng(0)
    return starts + [first + rng.normal(0.0, 0.5, len(first)) for _ in range(STARTS - len(starts))]


def _useless(name: str, rows: Sequence[Group]) -> bool:
    """Whether no row can tell this parameter."""
    if name.startswith("direct_"):
        return rows[0].format != "all_reduce"
    if name == "passes":
        return rows[0].format != "sampling"
    if name == "sequence":
        return all(g.backend != "numpy" for g in rows)
    if name == "reread":
        return all(g.op != "attention_mixed" for g in rows)
    return False


def _has(kind: type[Any], name: str) -> bool:
    return name in {f.name for f in fields(kind)}


def _quickest(group: Group) -> Group:
    """Of collectives timed twice, launched by a graph and by the host, the quicker: serving replays graphs."""
    if group.family != "collective":
        return group
    least: dict[tuple[float, ...], int] = {}
    for i, shape in enumerate(zip(*group.values.values(), strict=True)):
        if shape not in least or group.seconds[i] < group.seconds[least[shape]]:
            least[shape] = i
    return group.take(np.array(sorted(least.values()), dtype=np.int64))


def _thinned(group: Group, most: int) -> Group:
    if len(group) <= most:
        return group
    return group.take(np.sort(np.random.default_rng(0).permutation(len(group))[:most]))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
