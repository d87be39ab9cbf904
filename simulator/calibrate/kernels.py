"""Measured kernel latencies as groups of one kind, and what a curve predicts for them.

The layout is one row a measurement with an `op`, the shape columns that it needs, `dtype`, `backend` and
`latency_us`; see `docs/accuracy.md`.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.hardware.collectives import collective_seconds
from simulator.hardware.device import Device
from simulator.hardware.fabric import Fabric
from simulator.hardware.formats import peak_of
from simulator.hardware.kernels import (
    AttentionCurve,
    BlockedCurve,
    CollectiveCurve,
    DecodeCurve,
    ExpertsCurve,
    GemmCurve,
    PackedCurve,
)
from simulator.hardware.kernels.attention import Work
from simulator.hardware.law import input_bytes, machine_of
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Collective, Convolution, HeadShape

Floats = NDArray[np.float64]

# Names of formats in measured rows where they differ from ours.
FORMATS = {"sq": "int8", "int4_wo": "int4", "w4a16_mxfp4": "mxfp4", "w4a8_mxfp4_mxfp8": "mxfp4_mxfp8"}
PATTERNS = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all",
}
# Numbers that a streaming kernel moves for each of rows x columns, and its curve's name.
STREAMS = {
    "rmsnorm": ("norm", 4.0),
    "silu_mul": ("activation", 3.0),
    "rope": ("rotary", 2.0),
    "embedding": ("embedding", 2.0),
    "sampler": ("sampling", 1.0),
    "softmax": ("softmax", 2.0),
    "elementwise": ("elementwise", 3.0),
    "copy": ("copy", 2.0),
    "triad": ("triad", 3.0),
    "launch": ("launch", 3.0),
}
MATRIX_FAMILIES = {"gemm": "gemm", "batched_gemm": "gemm", "conv2d": "convolution", "moe": "experts"}
SHAPES = {
    "gemm": ("m", "n", "k"),
    "batched_gemm": ("batch", "m", "n", "k"),
    "conv2d": ("batch", "channels", "filters", "height", "width", "kernel", "stride"),
    "attention_prefill": ("batch", "seq_q", "seq_kv", "q_heads", "kv_heads", "head_dim", "window"),
    "attention_decode": ("batch", "seq_q", "seq_kv", "q_heads", "kv_heads", "head_dim", "window"),
    "attention_mixed": (
        "prefill_chunk",
        "kv_prefill",
        "n_decode",
        "kv_decode",
        "q_heads",
        "kv_heads",
        "head_dim",
    ),
    "moe": ("m", "hidden", "intermediate", "topk", "experts", "moe_tp", "ep"),
    **dict.fromkeys(PATTERNS, ("message_bytes", "world_size")),
    **dict.fromkeys(STREAMS, ("rows", "cols")),
}


@dataclass
class Group:
    """Measurements of one operator, format and backend: shape columns as float64, seconds measured.

    `warm` says that operands stay in the caches from call to call, as in most benchmarks.
    """

    op: str
    dtype: str
    backend: str
    family: str
    format: str
    values: dict[str, Floats]
    seconds: Floats
    distribution: str = ""
    warm: bool = True
    works: dict[Any, Work] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Group:
        """Some of the rows."""
        values = {name: column[keep] for name, column in self.values.items()}
        return replace(self, values=values, seconds=self.seconds[keep], works={})

    def held_out(self) -> NDArray[np.bool_]:
        """The third of the shapes that is never fitted, chosen by a checksum of the shape."""
        rows = zip(*(column.astype(np.int64).tolist() for column in self.values.values()), strict=True)
        return np.array([zlib.crc32(repr(row).encode()) % 3 == 0 for row in rows])

    def names(self) -> list[str]:
        """The shape of each row in words, such as "m 64, n 4096, k 4096"; sizes of nothing are left out."""
        columns = [(name.replace("_", " "), values.astype(np.int64).tolist()) for name, values in self.values.items()]
        return [", ".join(f"{name} {sizes[i]}" for name, sizes in columns if sizes[i]) for i in range(len(self))]

    @property
    def shape(self) -> HeadShape:
        """Heads of attention rows."""
        v = self.values
        activation, _, kv = self.format.partition("/")
        per_token = v["kv_heads"] * v["head_dim"] * 2.0
        return HeadShape(
            v["q_heads"], v["kv_heads"], v["head_dim"], v["head_dim"], per_token, DTYPES[activation], DTYPES[kv]
        )  # fmt: skip


def read_rows(path: str | Path) -> pd.DataFrame:
    """A file of measured kernels. Raises `InputError` if it is none."""
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # Arrow raises many kinds
        raise InputError(f"not a Parquet file of measurements: {str(error).splitlines()[0]}", file=path) from None
    for name in ("op", "latency_us", "backend", "device"):
        if name not in frame:
            raise InputError(f"column {name!r} is missing", file=path)
    return frame


def groups(frame: pd.DataFrame, skipped: Counter[str]) -> Iterator[Group]:
    """Rows by operator, backend and format. What cannot be modelled is counted in `skipped` with its reason."""
    for column in ("dtype", "kv_dtype", "distribution", "cache"):
        if column not in frame:
            frame[column] = None
    frame = frame.assign(dtype=frame["dtype"].fillna("bf16"), kv_dtype=frame["kv_dtype"].fillna(""))
    frame = frame.assign(distribution=frame["distribution"].fillna(""), cache=frame["cache"].fillna("warm"))
    for key, rows in frame.groupby(["op", "backend", "dtype", "kv_dtype", "distribution", "cache"], sort=True):
        op, backend, dtype, kv_dtype, distribution, cache = (str(k) for k in key)
        if op not in SHAPES:
            skipped[f"unknown operator {op}"] += len(rows)
            continue
        for group in _group(op, backend, dtype, kv_dtype, distribution, rows, skipped):
            yield replace(group, warm=cache != "cold")


def _group(
    op: str, backend: str, dtype: str, kv_dtype: str, distribution: str, rows: pd.DataFrame, skipped: Counter[str]
) -> Iterator[Group]:
    table = _complete(op, rows, skipped)
    if table.empty:
        return
    values = {c: table[c].to_numpy(dtype=np.float64) for c in SHAPES[op]}
    seconds = table["latency_us"].to_numpy(dtype=np.float64) * 1e-6
    stored = FORMATS.get(dtype, dtype)
    if op in MATRIX_FAMILIES:
        if stored not in DTYPES:
            skipped[f"unknown format {dtype}"] += len(table)
            return
        yield Group(op, dtype, backend, MATRIX_FAMILIES[op], stored, values, seconds, distribution or "balanced")
    elif op in ("attention_prefill", "attention_decode"):
        kv = FORMATS.get(kv_dtype, kv_dtype) or stored
        kv = "bf16" if kv in ("fp16", "auto") else kv
        stored = "bf16" if stored == "fp16" else stored
        if stored not in DTYPES or kv not in DTYPES:
            skipped[f"unknown format {dtype}/{kv_dtype}"] += len(table)
            return
        family = "attention" if op == "attention_prefill" else "decode"
        yield Group(op, dtype, backend, family, f"{stored}/{kv}", values, seconds)
    elif op == "attention_mixed":
        made = Group(op, dtype, backend, "attention", "bf16/bf16", values, seconds)
        prompts = values["prefill_chunk"] > 0
        if prompts.any():
            yield made.take(prompts)
        if not prompts.all():
            yield _decode_only(made.take(~prompts))
    elif op in PATTERNS:
        yield Group(op, dtype, backend, "collective", PATTERNS[op], values, seconds)
    else:
        yield Group(op, dtype, backend, "streaming", STREAMS[op][0], values, seconds)


def _complete(op: str, rows: pd.DataFrame, skipped: Counter[str]) -> pd.DataFrame:
    """Rows that have every shape field of their operator; no window is none."""
    columns = SHAPES[op]
    if "window" in columns:
        rows = rows.assign(window=rows["window"].fillna(0) if "window" in rows else 0)
    if op == "moe" and "activated_experts" in rows:
        rows = _activated(rows)
    missing = [c for c in columns if c not in rows]
    if missing:
        skipped[f"{op} without {missing[0]}"] += len(rows)
        return rows.head(0)
    complete = rows[[*columns, "latency_us"]].notna().all(axis=1) & (rows["latency_us"] > 0)
    if not complete.all():
        skipped[f"{op} with empty or zero fields"] += int((~complete).sum())
    return rows[complete]


def _activated(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that state how many experts were used: all of these, with an expert a token unless said otherwise."""
    filled: dict[str, Any] = {"experts": rows["activated_experts"], "topk": 1, "moe_tp": 1, "ep": 1}
    for name, value in filled.items():
        known = rows[name] if name in rows else pd.Series(pd.NA, index=rows.index, dtype="Int64")
        rows = rows.assign(**{name: known.fillna(value)})
    return rows


def _decode_only(mixed: Group) -> Group:
    v = mixed.values
    values = {
        "batch": v["n_decode"],
        "seq_q": np.ones(len(mixed)),
        "seq_kv": v["kv_decode"],
        "q_heads": v["q_heads"],
        "kv_heads": v["kv_heads"],
        "head_dim": v["head_dim"],
        "window": np.zeros(len(mixed)),
    }
    return Group(mixed.op, mixed.dtype, mixed.backend, "decode", mixed.format, values, mixed.seconds)


def nearest_peak(device: Device, compute: str) -> float:
    """Peak FLOP/s for a format, or for the nearest wider one; rows of a format without either get the highest."""
    return peak_of(device, compute) or max(device.peak_flops.values())


def predict(group: Group, curve: Any, device: Device, fabric: Fabric) -> Floats:
    """Seconds that a curve gives for each row."""
    machine = machine_of(device, benchmark=group.warm)
    v = group.values
    found: Any
    if isinstance(curve, BlockedCurve):
        stored = DTYPES[group.format]
        op = Convolution.square(**v, weight=stored, activation=stored)
        found = curve.roofs(op, peak=nearest_peak(device, stored.compute), machine=machine).seconds()
    elif isinstance(curve, GemmCurve | PackedCurve):
        stored = DTYPES[group.format]
        active = stored if stored.bits > 16 else DTYPES["bf16"]
        convolved = Convolution.square(**v, weight=stored, activation=active) if group.op == "conv2d" else None
        found = curve.roofs(
            *(convolved.product if convolved else (v["m"], v["n"], v["k"])),
            weight=stored.bytes,
            activation=input_bytes(stored, active),
            peak=nearest_peak(device, stored.compute),
            machine=machine,
            count=v.get("batch", 1.0) if convolved is None else 1.0,
            moved=convolved.bytes() if convolved else None,
        ).seconds()
    elif isinstance(curve, ExpertsCurve):
        stored = DTYPES[group.format]
        found = curve.roofs(
            v["m"],
            hidden=v["hidden"],
            intermediate=v["intermediate"] / v["moe_tp"],
            top_k=v["topk"],
            experts=v["experts"],
            ranks=v["ep"],
            gated=True,
            distribution=group.distribution,
            weight=stored.bytes,
            activation=input_bytes(stored, DTYPES["bf16"]),
            peak=nearest_peak(device, stored.compute),
            machine=machine,
        ).seconds()
    elif isinstance(curve, AttentionCurve):
        peak = nearest_peak(device, group.shape.activation.compute)
        found = curve.costs(group.shape, peak=peak, machine=machine).seconds(_works(group, curve))
    elif isinstance(curve, DecodeCurve):
        seen = np.where(v["window"] > 0, np.minimum(v["seq_kv"], v["window"]), v["seq_kv"])
        peak = nearest_peak(device, group.shape.activation.compute)
        found = curve.seconds(v["batch"], v["batch"] * seen, group.shape, peak=peak, machine=machine)
    elif isinstance(curve, CollectiveCurve):
        found = curve.seconds(group.format, v["message_bytes"], v["world_size"], fabric.inside.bandwidth)
    else:
        size = DTYPES.get(group.dtype, DTYPES["bf16"]).bytes
        moved = v["rows"] * v["cols"] * STREAMS[group.op][1] * size
        found = curve.roofs(0.0 * moved, moved, peak=nearest_peak(device, "fp32"), machine=machine).seconds()
    return np.asarray(found, dtype=np.float64)


def predict_collective(group: Group, fabric: Fabric) -> Floats:
    """Seconds of collectives by the closed forms, where none were measured on the device."""
    v = group.values
    pairs = zip(v["message_bytes"].tolist(), v["world_size"].tolist(), strict=True)
    return np.array([float(collective_seconds(Collective(group.format, m, int(w)), fabric)) for m, w in pairs])


def _works(group: Group, curve: AttentionCurve) -> Work:
    """Work of each row as arrays; it depends on the tiling alone, so a fit computes it once for each."""
    key = (curve.rows, curve.packed)
    if key not in group.works:
        rows = [_work(row, group, curve) for row in zip(*group.values.values(), strict=True)]
        group.works[key] = Work(*(np.array(column) for column in zip(*rows, strict=True)))  # type: ignore[arg-type]
    return group.works[key]


def _work(row: tuple[float, ...], group: Group, curve: AttentionCurve) -> Work:
    v = dict(zip(group.values, row, strict=True))
    activation, _, kv = group.format.partition("/")
    width = int(v["head_dim"])
    per_token = v["kv_heads"] * width * 2.0
    shape = HeadShape(v["q_heads"], v["kv_heads"], width, width, per_token, DTYPES[activation], DTYPES[kv])
    if group.op == "attention_mixed":
        work = curve.work(v["prefill_chunk"], v["kv_prefill"], shape)
        return curve.with_decoding(work, v["n_decode"], v["n_decode"] * v["kv_decode"], curve.decode_rates(shape))
    one = curve.work(v["seq_q"], v["seq_kv"] - v["seq_q"], shape, int(v["window"]) or None)
    return one.times(v["batch"])
