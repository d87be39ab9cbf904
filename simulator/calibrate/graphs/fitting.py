"""Curves of a processor's kernels fitted to measured graphs, each curve in turn given what the others take.

A graph takes the runtime's call and its kernels one after the other; a single operator that needs its operands in
another layout brings the copies along, so that graphs are fitted as a whole. What one core does comes from graphs on
one thread; those on several tell what it takes to wake the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.calibrate.graphs.operators import Bundle, Floats, Key, bundles
from simulator.calibrate.graphs.parameters import BOUNDS, ELEMENTWISE, SHARED, free_parameters
from simulator.hardware.calibration import CORES, Calibration, Calibrations, CoreCurve, Residual
from simulator.hardware.cores import cores_of
from simulator.hardware.device import Device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.kernels import VectorCurve
from simulator.hardware.law import TimingLaw
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.lifetimes import touched_bytes

SWEEPS = 3
TOLERANCE = 0.1  # log errors beyond this count as outliers (soft L1)
DIGITS = 4
# Neighbours only lengthen what several cores do together, so that the quicker ones of several graphs tell.
FORK_QUANTILE = 0.1
FORKS = np.geomspace(5e-7, 1e-3, 34).tolist()
FEWEST = 6  # graphs below which a kernel is left to a near one


@dataclass(frozen=True)
class Measured:
    """Graphs as the runtime runs them, on so many `threads` each, with the seconds that one call takes."""

    names: tuple[str, ...]
    graphs: tuple[Graph, ...]
    threads: NDArray[np.int64]
    seconds: Floats

    def __len__(self) -> int:
        return len(self.seconds)

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """The third of the graphs that is never fitted, chosen by a checksum of the name."""
        return np.array([zlib.crc32(name.encode()) % 3 == 0 for name in self.names])


@dataclass(frozen=True)
class _Share:
    """Kernels of one curve on so many threads: what they add to each graph's seconds."""

    threads: int
    bundle: Bundle


@dataclass
class Fit:
    """Curves by family and name; errors of held-out graphs on one thread, and those that several shared."""

    curves: dict[Key, CoreCurve]
    residuals: dict[Key, Residual]
    errors: Floats
    shared: Floats


def fit_graphs(measured: Measured, device: Device, call: float) -> Fit:
    """Fit all curves that enough of the graphs need; `call` is the runtime's seconds for each call."""
    shares = _shares(measured)
    keys = [key for key in shares if len(_rows_of(shares[key])) >= FEWEST]
    if ELEMENTWISE in keys:
        keys = [ELEMENTWISE, *(k for k in sorted(keys) if k != ELEMENTWISE)]
    curves: dict[Key, CoreCurve] = {key: CORES[key[0]]() for key in keys}
    timing = _Timing(measured, device, shares)
    parts = {key: timing.seconds(key, _curve_for(curves, key)) for key in shares}
    for _ in range(SWEEPS):
        for key in keys:
            others = call + sum((parts[k] for k in shares if k != key), np.zeros(len(measured)))
            curves[key] = _descend(timing, key, _given(curves, key), others)
            parts[key] = timing.seconds(key, curves[key])
    fork = _fork(timing, curves, shares, call)
    curves = {key: _with(curve, ["fork"], [fork]) for key, curve in curves.items()}
    parts = {key: timing.seconds(key, _curve_for(curves, key)) for key in shares}
    return _judged(measured, curves, parts, call)


def _curve_for(curves: dict[Key, CoreCurve], key: Key) -> CoreCurve:
    return curves[key] if key in curves else curves.get(ELEMENTWISE, CORES[key[0]]())


def _given(curves: dict[Key, CoreCurve], key: Key) -> CoreCurve:
    """The curve as it is, with what it shares with elementwise kernels from these."""
    if key == ELEMENTWISE or ELEMENTWISE not in curves:
        return curves[key]
    own = free_parameters(key)
    shared = [name for name in SHARED if name not in own]
    return _with(curves[key], shared, [getattr(curves[ELEMENTWISE], name) for name in shared])


class _Timing:
    """Seconds that the kernels of a curve add to each graph."""

    def __init__(self, measured: Measured, device: Device, shares: dict[Key, list[_Share]]) -> None:
        self.measured = measured
        self._shares = shares
        self._devices = {int(n): cores_of(device, int(n)) for n in set(measured.threads.tolist())}
        self._footprints = np.array([touched_bytes(graph) for graph in measured.graphs])
        self._fabric = fabric_of(device, None)

    def rows(self, key: Key) -> NDArray[np.int64]:
        return _rows_of(self._shares[key])

    def seconds(self, key: Key, curve: CoreCurve) -> Floats:
        family, name = key
        found = np.zeros(len(self.measured))
        trial = Calibration("trial", "", {family: {name: curve}})
        for share in self._shares[key]:
            bundle = share.bundle
            law = TimingLaw(
                self._devices[share.threads],
                Calibrations((trial,), tuple, trial),
                self._fabric,
                footprint=self._footprints[bundle.rows],
            )
            each = np.broadcast_to(law.seconds(bundle.op), len(bundle.rows))
            np.add.at(found, bundle.rows, each * bundle.counts)
        return found


def _shares(measured: Measured) -> dict[Key, list[_Share]]:
    found: dict[Key, list[_Share]] = {}
    for threads in sorted(set(measured.threads.tolist())):
        places = np.flatnonzero(measured.threads == threads)
        for bundle in bundles([measured.graphs[i] for i in places]):
            placed = replace(bundle, rows=places[bundle.rows])
            found.setdefault(bundle.key, []).append(_Share(int(threads), placed))
    return found


def _rows_of(shares: Sequence[_Share]) -> NDArray[np.int64]:
    return np.unique(np.concatenate([share.bundle.rows for share in shares]))


def _descend(timing: _Timing, key: Key, start: CoreCurve, others: Floats) -> CoreCurve:
    from scipy.optimize import least_squares

    free = free_parameters(key)
    measured = timing.measured
    rows = timing.rows(key)
    rows = rows[~measured.held_out[rows] & (measured.threads[rows] == 1)]
    low, high = (np.log([BOUNDS[n][i] for n in free]) for i in (1, 2))
    wanted = np.log(measured.seconds[rows])

    def curve(x: Floats) -> CoreCurve:
        return _with(start, free, np.exp(x).tolist())

    def errors(x: Floats) -> Floats:
        total = timing.seconds(key, curve(x))[rows] + others[rows]
        return np.asarray(np.log(total) - wanted)

    first = np.clip(np.log([getattr(start, n) for n in free]), low + 1e-6, high - 1e-6)
    found = least_squares(
        errors, first, bounds=(low, high), loss="soft_l1", f_scale=TOLERANCE, max_nfev=40, diff_step=3e-3
    )
    return _with(start, free, [_rounded(v) for v in np.exp(found.x).tolist()])


def _fork(timing: _Timing, curves: dict[Key, CoreCurve], keys: Iterable[Key], call: float) -> float:
    """Seconds that it takes to wake the other cores, by a low quantile of what graphs on several threads take.

    One for all kernels: it is the pool of threads that wakes. Quantile regression: errors on either side count by the
    quantile (Koenker and Bassett, 1978).
    """
    measured, listed = timing.measured, list(keys)
    rows = np.flatnonzero(~measured.held_out & (measured.threads > 1))
    if not len(rows):
        return VectorCurve().fork

    def cost(fork: float) -> float:
        made = {key: _with(_curve_for(curves, key), ["fork"], [fork]) for key in listed}
        total = call + sum((timing.seconds(key, made[key]) for key in listed), np.zeros(len(measured)))
        over = np.log(measured.seconds[rows] / total[rows])
        return float(np.where(over > 0, FORK_QUANTILE, FORK_QUANTILE - 1.0) @ over)

    return _rounded(min(FORKS, key=cost))


def _with(curve: CoreCurve, names: Sequence[str], values: Sequence[float]) -> CoreCurve:
    changed: Any = dict(zip(names, values, strict=True))
    made: CoreCurve = replace(curve, **changed)
    return made


def _judged(measured: Measured, curves: dict[Key, CoreCurve], parts: dict[Key, Floats], call: float) -> Fit:
    """Held-out graphs on one thread count for the curve that takes most of their time."""
    total = call + sum(parts.values(), np.zeros(len(measured)))
    logs = np.log(total / measured.seconds)
    keys, alone = list(parts), measured.held_out & (measured.threads == 1)
    main = np.argmax([parts[key] for key in keys], axis=0)
    residuals = {}
    for place, key in enumerate(keys):
        some = logs[alone & (main == place)]
        if len(some) and key in curves:
            errors = np.abs(np.expm1(some))
            spread = float(np.quantile(np.abs(some), 0.9)) / 1.6449
            values = (_rounded(float(x)) for x in (np.median(errors), errors.mean(), spread))
            residuals[key] = Residual(len(some), *values)
    errors = np.abs(np.expm1(logs))
    return Fit(curves, residuals, errors[alone], errors[measured.held_out & (measured.threads > 1)])


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
