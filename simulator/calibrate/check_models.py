"""Predicted against measured latencies of whole transformers on one device, in inference and in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simulator.calibrate.errors import Comparison
from simulator.calibrate.measured_rows import read_rows
from simulator.counted import OnCount, counted
from simulator.engine.training.laying_out import step_of
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.training.gpt import gpt
from simulator.workloads.training.job import Eager, Formats, Job, Layout
from simulator.workloads.transformer import Transformer

COLUMNS = ("model_name", "seqlen", "batch", "device", "mode", "option", "latency_ms")
FP32 = Formats(DTYPES["fp32"], DTYPES["fp32"], DTYPES["fp32"])
# Transformers' NewGELUActivation is a chain of eight kernels: a power, five products and sums, a hyperbolic tangent.
GELU_CHAIN = ((1, 1), (1, 1), (2, 1), (1, 1), (1, 1), (1, 1), (1, 1), (2, 1))
ONE_KERNEL = ((1, 1),)
# Sizes: Devlin et al., 2019; Radford et al., 2019; Zhang et al., 2022; Brown et al., 2020, table 2.1, where 24 heads of
# 128 make GPT-3 XL 3,072 wide, as a model of that library has to be.
SIZES: dict[str, tuple[dict[str, int], tuple[tuple[int, int], ...]]] = {
    "bert_large": ({"layers": 24, "hidden": 1024, "heads": 16, "vocab": 30522}, ONE_KERNEL),
    "gpt2_large": ({"layers": 36, "hidden": 1280, "heads": 20, "vocab": 50257}, GELU_CHAIN),
    "opt_13": ({"layers": 24, "hidden": 2048, "heads": 32, "vocab": 50272}, ONE_KERNEL),
    "gpt3_xl": ({"layers": 24, "hidden": 3072, "heads": 24, "vocab": 50257}, GELU_CHAIN),
    "gpt3_27": ({"layers": 32, "hidden": 2560, "heads": 32, "vocab": 50257}, GELU_CHAIN),
}
NO_HEAD = ("bert_large",)
DEVICES = {
    "Tesla_P100-PCIE-16GB": "nvidia-p100-16gb",
    "Tesla_P4": "nvidia-p4",
    "Tesla_V100-PCIE-32GB": "nvidia-v100-pcie-16gb",
    "Tesla_T4": "nvidia-t4-16gb",
    "NVIDIA_A100-PCIE-40GB": "nvidia-a100-pcie-40gb",
    "NVIDIA_A100_80GB_PCIe": "nvidia-a100-pcie-80gb",
    "NVIDIA_A100-SXM4-40GB": "nvidia-a100-sxm-40gb",
    "NVIDIA_H100_80GB_HBM3": "nvidia-h100-sxm-80gb",
    "NVIDIA_L4": "nvidia-l4-24gb",
    "AMD_Instinct_MI100": "amd-mi100",
    "AMD_Instinct_MI210": "amd-mi210-64gb",
    "AMD_Instinct_MI250": "amd-mi210-64gb",  # software sees one of its two dies, which an MI210 has alone
}
# Layout and micro-batch of the rows that use four devices, by their option and the batch.
LAYOUTS: dict[str, Callable[[int], tuple[Layout, int]]] = {
    "dp4": lambda batch: (Layout(data=4), max(1, batch // 4)),
    "tp4": lambda batch: (Layout(tensor=4), batch),
    "pp4_1": lambda batch: (Layout(pipeline=4), batch),
}


def check_models(path: str | Path, *, on_count: OnCount | None = None) -> Comparison:
    """Time every row that can be modelled; the others are counted by reason."""
    comparison, rows = Comparison(), read_rows(path, COLUMNS)
    found: dict[tuple[str, str, str], list[tuple[float, float, str]]] = {}
    for row in counted(rows, len(rows), on_count):
        try:
            step = step_for(row)
        except InputError as error:
            comparison.skip(error.message)
            continue
        label = (str(row["device"]), str(row["model_name"]), str(row["mode"]))
        timed_by = step.part(0).law.calibrations
        comparison.sources[timed_by.name] = timed_by.source
        name = f"batch {int(row['batch'])}, sequence {int(row['seqlen'])}, option {row['option']}"
        found.setdefault(label, []).append((_seconds(step, row), float(row["latency_ms"]) / 1e3, name))
    for (device, name, mode), values in sorted(found.items()):
        predicted, measured, names = zip(*values, strict=True)
        comparison.add({"device": device, "model": name, "mode": mode}, predicted, measured, names=names)
    return comparison


def latency(row: Mapping[str, Any]) -> float:
    """Seconds of a row: its forward pass, in training the backward pass too. Raises `InputError` if not modelled."""
    return _seconds(step_for(row), row)


def step_for(row: Mapping[str, Any]) -> Step:
    """The step of a row, of which inference takes the forward pass. Raises `InputError` if not modelled."""
    device, name, mode, option = (str(row[c]) for c in ("device", "model_name", "mode", "option"))
    if device not in DEVICES:
        raise InputError(f"device {device} is not known")
    if name not in SIZES:
        raise InputError(f"model {name} is not known")
    if mode not in ("inf", "train"):
        raise InputError(f"mode {mode} is not inf or train")
    sizes, activation = SIZES[name]
    batch, sequence = int(row["batch"]), int(row["seqlen"])
    fused = option == "fusion"
    if option not in ("nan", "None", "fusion", *LAYOUTS):
        raise InputError(f"option {option} is not modelled")
    layout, micro = LAYOUTS[option](batch) if option in LAYOUTS else (Layout(), batch)
    kernels = Eager(0, ONE_KERNEL) if fused else Eager(activation=activation)
    model: Transformer = gpt(sequence=sequence, name=name, **sizes)
    job = Job(
        model, sequence, micro, batch, layout, FP32, fused_attention=False, dropout=mode == "train", eager=kernels,
        head=name not in NO_HEAD,
    )  # fmt: skip
    return step_of(job, DEVICES[device], stack="pytorch-eager")


def _seconds(step: Step, row: Mapping[str, Any]) -> float:
    """What of a step is measured: in inference the forward pass without a loss."""
    if row["mode"] == "train":
        return step.timeline.seconds + step.end.reduce_seconds(0)
    return step.seconds(c for c in step.passes[0].forward if c.name != "loss")
