"""Whole models timed in ONNX Runtime on this machine, as rows to hold predictions against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from simulator.calibrate.graphs.measuring import BACKEND
from simulator.calibrate.graphs.sessions import time_in_turns
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.catalogue import graph_model

TOGETHER = 6  # models that are kept ready at a time


@dataclass(frozen=True, slots=True)
class Timed:
    """A built-in model to time, with options of its own."""

    model: str
    batch: int = 1
    options: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join([self.model, str(self.batch), self.told])

    @property
    def told(self) -> str:
        """Options as they stand in a file of measurements."""
        return " ".join(f"{name}={value}" for name, value in self.options.items())


MODELS = (
    *(Timed(name) for name in (
        "resnet-18", "resnet-50", "mobilenet-v1", "mobilenet-v2", "mobilenet-v3-large", "efficientnet-b0",
        "mnasnet-1.0", "squeezenet-1.1", "shufflenet-v2-1.0", "densenet-121", "alexnet", "vgg-11", "deit-tiny",
        "deit-small", "distilbert", "bert-base", "convnext-tiny", "swin-t", "yolov5n", "yolov8n", "clip-text",
        "proxylessnas-mobile", "resnext-50-32x4d",
    )),
    Timed("sd-decoder", options={"latent": 8}),
    Timed("mobilenet-v2", 4),
    Timed("resnet-18", 4),
    Timed("distilbert", options={"tokens": 32}),
)  # fmt: skip


def measure_models(
    listed: Sequence[Timed],
    device: str,
    *,
    threads: Sequence[int],
    seconds: float = 2.0,
    rounds: int = 8,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Time each model for about so many seconds on each number of threads; the least of all calls is its latency."""
    rows = []
    for count in threads:
        for first in range(0, len(listed), TOGETHER):
            some = {each.name: each for each in listed[first : first + TOGETHER]}
            graphs = {
                name: graph_model(t.model, t.batch, dtype("fp32"), **t.options).parts[0].graph
                for name, t in some.items()
            }
            found, disturbed = time_in_turns(graphs, threads=count, seconds=seconds, rounds=rounds, together=TOGETHER)
            for name, timing in found.items():
                rows.append(
                    {
                        "model": some[name].model, "batch": some[name].batch, "options": some[name].told or None,
                        "device": device, "runtime": BACKEND, "threads": count,
                        "latency_ms": round(timing.least * 1e3, 4), "passed_ms": round(timing.passed * 1e3, 4),
                        "median_ms": round(timing.median * 1e3, 4),
                        "calls": timing.calls, "disturbance": round(disturbed.median, 3),
                    }
                )  # fmt: skip
                say(f"{name} on {count}: {timing.least * 1e3:.2f} ms, at least {timing.passed * 1e3:.2f} ms passed")
    return pd.DataFrame(rows)
