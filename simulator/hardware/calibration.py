"""Calibration files: the curves of a device's kernels under one backend, and which of them time what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.hardware.device import Device, device
from simulator.hardware.kernels import (
    AttentionCurve,
    BlockedCurve,
    CollectiveCurve,
    DecodeCurve,
    ExpertsCurve,
    GemmCurve,
    PackedCurve,
    StreamingCurve,
    VectorCurve,
)
from simulator.yaml_io import load_yaml

CoreCurve = PackedCurve | BlockedCurve | VectorCurve
Curve = GemmCurve | ExpertsCurve | AttentionCurve | DecodeCurve | CollectiveCurve | StreamingCurve | CoreCurve

# Families of kernels, with the curve that each is timed by. Within a family curves are kept by format or name.
FAMILIES: dict[str, type[Any]] = {
    "gemm": GemmCurve,
    "convolution": GemmCurve,
    "experts": ExpertsCurve,
    "attention": AttentionCurve,
    "decode": DecodeCurve,
    "collective": CollectiveCurve,
    "streaming": StreamingCurve,
}
# The laws of processor cores, for curves that say `law: cores`.
CORES: dict[str, type[Any]] = {"gemm": PackedCurve, "convolution": BlockedCurve, "streaming": VectorCurve}
# Whose curve stands in for a format or kernel that was not measured, the nearest first.
NEAR = {
    "fp16": ("bf16",),
    "bf16": ("fp16",),
    "fp32": ("bf16", "fp16"),
    "fp8": ("int8", "fp8_block", "bf16"),
    "fp8_block": ("fp8", "bf16"),
    "fp8_dynamic": ("fp8", "fp8_block", "bf16"),
    # Experts with channel scales run CUTLASS grouped kernels, as block-scaled ones do and tensor-scaled ones do not.
    "experts fp8_dynamic": ("fp8_block", "fp8", "bf16"),
    "int8": ("fp8", "bf16"),
    "int8_wo": ("int4", "bf16"),
    "int4": ("int8_wo", "mxfp4", "bf16"),
    "int4_int4": ("int8", "fp8", "bf16"),
    "ternary": ("int8", "fp8", "bf16"),
    "int2": ("int4", "int8_wo", "bf16"),
    "binary_wo": ("int4", "int8_wo", "bf16"),
    "mxfp4": ("int4", "bf16"),
    "mxfp4_mxfp8": ("nvfp4", "fp8", "bf16"),
    "nvfp4": ("mxfp4_mxfp8", "fp8", "bf16"),
    "bf16/fp8": ("bf16/bf16",),
    "fp8/fp8": ("bf16/fp8", "bf16/bf16"),
    "reduce_scatter": ("all_gather",),
    "all_gather": ("reduce_scatter",),
    "send_recv": ("all_gather",),
    "gather": ("embedding", "elementwise"),
    "silu": ("sigmoid", "elementwise"),
    "quickgelu": ("silu", "sigmoid", "elementwise"),
    "fastgelu": ("tanh", "elementwise"),
    "biasgelu": ("gelu", "elementwise"),
    "skip_norm": ("norm", "elementwise"),
    "transpose": ("copy", "elementwise"),
    "reorder": ("transpose", "copy", "elementwise"),
    "resize": ("copy", "elementwise"),
}
ANY = {
    "streaming": "elementwise",
    "attention": "bf16/bf16",
    "decode": "bf16/bf16",
    "gemm": "bf16",
    "convolution": "bf16",
    "experts": "bf16",
}
# Generations whose matrix units read operands that a copy engine brings (wgmma and tcgen05 with TMA); all others,
# Blackwell's cards for workstations included, go through registers (NVIDIA, PTX ISA 8.7, 9.7.15 and 9.7.16).
ASYNCHRONOUS = ("hopper", "blackwell")
CALIBRATIONS = Path(__file__).with_name("calibrations")


@dataclass(frozen=True, slots=True)
class Residual:
    """How far measurements lay from the curve: rows, median and mean absolute error, and the spread of log errors.

    `spread` is the standard deviation that a normal law with the same share inside 90 % would have.
    """

    rows: int
    median: float
    mean: float
    spread: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Curves of one device and backend: `curves[family][format]`, and how well each fits what was measured.

    `gaps` says that kernels were timed from one launch to the next, gaps included, and not by a profiler that
    sees the kernel alone. Kernels that stand `apart` are run by their own backend only, on relatives too.
    """

    name: str
    source: str
    curves: dict[str, dict[str, Curve]]
    device: str | None = None
    backend: str | None = None
    date: str = ""
    gaps: bool = True
    residuals: dict[str, dict[str, Residual]] = field(default_factory=dict)
    apart: bool = False

    def serves(self, backend: str) -> bool:
        """Whether kernels that `backend` runs may be timed by it."""
        return not self.apart or self.backend == backend


@dataclass(frozen=True, slots=True)
class Found:
    """A curve with where it came from; `lent` by another device."""

    curve: Any
    calibration: Calibration
    format: str
    lent: bool = False

    def hidden(self, overlap: float) -> float:
        """The share of overhead that back-to-back kernels hide, given that of kernels timed with their gaps."""
        return overlap if self.calibration.gaps else 0.0

    @property
    def spread(self) -> float | None:
        """Spread of the log errors of the measurements behind it; None where there are none."""
        for family, curves in self.calibration.curves.items():
            if curves.get(self.format) is self.curve:
                residual = self.calibration.residuals.get(family, {}).get(self.format)
                return None if residual is None else residual.spread
        return None


@dataclass(frozen=True)
class Calibrations:
    """What times a device's kernels: its own calibrations first, then its relatives', then the defaults.

    The relatives are read when they are first asked for.
    """

    own: tuple[Calibration, ...]
    lenders: Callable[[], tuple[Calibration, ...]]
    default: Calibration

    @cached_property
    def relatives(self) -> tuple[Calibration, ...]:
        """Calibrations of other devices, the nearest first."""
        return self.lenders()

    @property
    def name(self) -> str:
        """In one line: calibrated, or by which relative."""
        if self.own:
            return self.own[0].name
        if self.relatives:
            return f"uncalibrated, by the curves of {self.relatives[0].name}"
        return self.default.name

    @property
    def source(self) -> str:
        if self.own:
            return self.own[0].source
        return (*self.relatives, self.default)[0].source

    def collective(self, pattern: str, link: str) -> CollectiveCurve | None:
        """The curve of this pattern over links of this name, the device's own before others'; None if unmeasured."""
        known = [c for c in self.own if pattern in c.curves.get("collective", {})]
        if known:
            return _collective_curve(known[0], pattern)
        known = [c for c in self.relatives if pattern in c.curves.get("collective", {})]
        kind = link.split("-", maxsplit=1)[0].rstrip("0123456789")
        tests: list[Callable[[Calibration], bool]] = [
            lambda c: _inside_link(c) == link,
            lambda c: (_inside_link(c) or "").startswith(kind),
        ]
        for fits in tests:
            for calibration in filter(fits, known):
                return _collective_curve(calibration, pattern)
        return None

    def find(self, family: str, name: str) -> Found:
        """The curve for a kernel of this family and format (or pattern, or kernel name).

        Its own format on the device itself, else on its nearest relative, then near formats in the same order; that of
        matrix products for convolutions of which there is none.
        """
        names = [name, *NEAR.get(f"{family} {name}", NEAR.get(name, ()))]
        if family in ANY and ANY[family] not in names:
            names.append(ANY[family])
        exact, near = names[:1], names[1:]
        order = [(True, exact), (False, exact), (True, near), (False, near)]
        if family == "streaming":  # one's own kernels tell more of a device's memory than the same kernel elsewhere
            order = [(True, names), (False, names)]
        for mine, wanted in order:
            for candidate in wanted:
                group = self.own if mine else self.relatives
                known = next((c for c in group if candidate in c.curves.get(family, {})), None)
                if known is not None:
                    return Found(known.curves[family][candidate], known, candidate, lent=not mine)
        if family == "convolution":  # the products of their patches
            return self.find("gemm", name)
        defaults = self.default.curves[family]
        for candidate in names:
            if candidate in defaults:
                return Found(defaults[candidate], self.default, candidate)
        raise KeyError(f"the default calibration has no {family} curve for {name}")


def load_calibration(path: str | Path) -> Calibration:
    """Read one calibration file. Raises `InputError` naming the file and the field that is missing or wrong."""
    raw = load_yaml(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("curves"), dict):
        raise InputError("a calibration file holds a mapping with name, source and curves", file=path)
    for key in ("name", "source"):
        if not isinstance(raw.get(key), str):
            raise InputError(f"calibration lacks {key!r}", file=path)
    curves: dict[str, dict[str, Curve]] = {}
    for family, given in raw["curves"].items():
        if family not in FAMILIES:
            raise unknown_name("curve family", family, FAMILIES, file=path)
        if not isinstance(given, dict):
            raise InputError(f"curves.{family}: give a mapping of curves by format", file=path)
        curves[family] = {str(key): _curve(family, str(key), value, path) for key, value in given.items()}
    residuals = {
        family: {key: Residual(**values) for key, values in given.items()}
        for family, given in (raw.get("residuals") or {}).items()
    }
    return Calibration(
        raw["name"], " ".join(raw["source"].split()), curves, raw.get("device"), raw.get("backend"),
        str(raw.get("date", "")), bool(raw.get("gaps", True)), residuals, bool(raw.get("apart", False)),
    )  # fmt: skip


def _curve(family: str, name: str, raw: object, path: str | Path) -> Curve:
    """One curve from its mapping of parameters: numbers above 0, whole numbers and truth values where it has them."""
    where = f"curves.{family}.{name}"
    if not isinstance(raw, dict):
        raise InputError(f"{where}: give a mapping of parameters", file=path)
    raw = dict(raw)
    law = raw.pop("law", None)
    if law is not None and (law != "cores" or family not in CORES):
        raise InputError(f"{where}.law is {law!r}: give cores, for {', '.join(CORES)}, or leave it out", file=path)
    cls = FAMILIES[family] if law is None else CORES[family]
    known = {f.name: f for f in fields(cls)}
    for key, value in raw.items():
        if key not in known:
            raise unknown_name(f"{where} parameter", key, known, file=path)
        wanted = str(known[key].type)
        good = (
            isinstance(value, bool) if wanted == "bool" else _number(value) and (wanted != "int" or value == int(value))
        )
        if not good:
            raise InputError(f"{where}.{key} is {value!r}: expected a {wanted} of at least 0", file=path)
    try:
        found: Curve = cls(**{k: float(v) if known[k].type == "float" else v for k, v in raw.items()})
    except TypeError as error:
        raise InputError(f"{where}: {str(error).split('() ')[-1]}", file=path) from None
    return found


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def calibration_names() -> list[str]:
    """Names of the shipped calibrations: a device and a backend each."""
    return sorted(f"{c.device} {c.backend}" for c in _shipped())


def calibrations_for(
    of: Device, *, backend: str = "vllm", own: bool = True, file: str | Path | None = None
) -> Calibrations:
    """What times this device's kernels as `backend` runs them.

    Calibrations of the device itself come first, the wanted backend before others; then those of its relatives:
    those of the vendor and kind (a GPU's kernels tell nothing of a processor's), the nearest first (`_distance`).
    `own` False leaves the device's own out, as if it had never been measured; a `file` comes before all.
    """
    mine = [_packaged(f) for f in sorted(CALIBRATIONS.glob(f"{of.id}.*.yaml"))] if own else []
    mine = [c for c in mine if c.serves(backend)]
    mine.sort(key=lambda c: _backend_rank(c.backend or "", backend))
    if file is not None:
        mine.insert(0, load_calibration(file))
    default = _packaged(CALIBRATIONS / f"uncalibrated-{'cpu' if of.kind == 'cpu' else 'accelerator'}.yaml")
    return Calibrations(tuple(mine), lambda: _relatives(of, backend), default)


def _relatives(of: Device, backend: str) -> tuple[Calibration, ...]:
    """Calibrations of the vendor's other devices, the nearest first, as they would be on this one."""
    if of.kind == "cpu":
        return ()
    others = [c for c in _shipped() if c.device != of.id and _made_as(c, of) and c.serves(backend)]
    others.sort(key=lambda c: (_distance(c, of) + 0.5 * _backend_rank(c.backend or "", backend), c.name))
    return tuple(lent(c, of) for c in others)


def lent(calibration: Calibration, to: Device) -> Calibration:
    """A calibration as another device borrows it.

    What a unit draws from the cache each cycle goes with its arithmetic: 0.017-0.021 bytes for each FLOP of its
    16-bit peak on A100, H100, B200 and L40S alike, while the bytes alone differ eightfold.
    """
    assert calibration.device is not None
    ratio = _unit_rate(to) / _unit_rate(device(calibration.device))
    curves = {family: {name: _fed(curve, ratio) for name, curve in given.items()}
              for family, given in calibration.curves.items()}  # fmt: skip
    return replace(calibration, curves=curves)


def _fed(curve: Curve, ratio: float) -> Curve:
    return replace(curve, feed=curve.feed * ratio) if isinstance(curve, GemmCurve | ExpertsCurve) else curve


def _collective_curve(calibration: Calibration, pattern: str) -> CollectiveCurve:
    curve = calibration.curves["collective"][pattern]
    assert isinstance(curve, CollectiveCurve)
    return curve


def _inside_link(calibration: Calibration) -> str | None:
    """The link that joins the calibrated device to its neighbours in a node."""
    if calibration.device is None:
        return None
    links = device(calibration.device).links
    return links.get("scale_up") or links.get("host")


def _backend_rank(backend: str, wanted: str) -> int:
    """0 for the wanted backend, 1 for a variant of it (vllm-eager for vllm), 2 for others."""
    return 0 if backend == wanted else 1 if backend.split("-", maxsplit=1)[0] == wanted.split("-", maxsplit=1)[0] else 2


def _made_as(calibration: Calibration, of: Device) -> bool:
    """Whether it is of a device of the same vendor and kind."""
    known = device(calibration.device) if calibration.device else None
    return known is not None and (known.vendor, known.kind) == (of.vendor, of.kind)


def _distance(calibration: Calibration, of: Device) -> float:
    """How far a calibrated device is in what its kernels are written for.

    Octaves between the 16-bit FLOPs that a unit does in a cycle, half of those between the bytes of memory for each
    unit and cycle, 1 for another generation and 1 for another way of feeding the matrix units.
    """
    assert calibration.device is not None
    other = device(calibration.device)
    octaves = abs(math.log2(_unit_rate(other) / _unit_rate(of)))
    memory = abs(math.log2(other.memory_bandwidth / of.memory_bandwidth * _unit_cycles(of) / _unit_cycles(other)))
    fed_alike = (other.generation in ASYNCHRONOUS) == (of.generation in ASYNCHRONOUS)
    return octaves + 0.5 * memory + (other.generation != of.generation) + (not fed_alike)


def _unit_cycles(of: Device) -> float:
    """Cycles a second of all units together."""
    return of.units.get("sm", 1.0) * of.units.get("clock_ghz", 1.5) * 1e9


def _unit_rate(of: Device) -> float:
    """16-bit FLOPs that one unit does in a cycle at most, or those of what formats it has."""
    peaks = of.peak_flops
    peak = peaks.get("bf16") or peaks.get("fp16") or peaks.get("fp32") or max(peaks.values())
    return peak / _unit_cycles(of)


@cache
def _packaged(path: Path) -> Calibration:
    """A calibration that comes with the package, read once."""
    return load_calibration(path)


@cache
def _shipped() -> tuple[Calibration, ...]:
    files = sorted(f for f in CALIBRATIONS.glob("*.yaml") if not f.name.startswith("uncalibrated-"))
    return tuple(_packaged(f) for f in files)
