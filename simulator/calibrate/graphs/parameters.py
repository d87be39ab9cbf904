"""What is fitted of each curve of a processor's kernels, and between which bounds."""

from __future__ import annotations

from simulator.calibrate.graphs.operators import Key

# Start, least and most of each fitted parameter: what any processor allows.
BOUNDS: dict[str, tuple[float, float, float]] = {
    "compute": (0.5, 0.005, 1.2),
    "rows": (1.0, 0.01, 30.0),
    "sets": (0.3, 0.001, 3.0),
    "width": (1.0, 0.01, 20.0),
    "depthwise": (0.3, 0.02, 1.2),
    "edges": (1.0, 0.01, 20.0),
    "sharpness": (2.0, 1.0, 8.0),
    "results": (10.0, 0.01, 100.0),
    "group": (1e-6, 1e-8, 2e-5),
    "patch": (0.6, 0.01, 20.0),
    "latency": (3e-6, 2e-7, 5e-5),
    "near": (32.0, 0.05, 128.0),
    "far": (12.0, 0.05, 64.0),
    "core": (0.4, 0.02, 1.0),
    "held": (0.6, 0.1, 1.2),
}
ELEMENTWISE: Key = ("streaming", "elementwise")
SHARED = ("near", "far", "core", "held")  # of all kernels, fitted to plain elementwise ones
MOVING = ("copy", "transpose", "reorder", "resize", "gather")  # kernels without arithmetic: what they draw is theirs
FREE: dict[str, tuple[str, ...]] = {
    "gemm": ("compute", "rows", "latency", "far", "core", "held", "sharpness"),
    "convolution": (
        "compute", "sets", "width", "depthwise", "edges", "results", "group", "patch", "latency", "far",
        "core", "held", "sharpness",
    ),
    "streaming": ("compute", "latency"),
}  # fmt: skip


def free_parameters(key: Key) -> tuple[str, ...]:
    """What is fitted of a curve."""
    family, name = key
    if key == ELEMENTWISE:
        return ("compute", "latency", *SHARED)
    return ("near", "far", "latency") if family == "streaming" and name in MOVING else FREE[family]
