"""Calibration files: the curves of a device's kernels under one backend, and which of them time what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.hardware.device import device
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
