"""A small scenario of each kind as plain data."""

from __future__ import annotations

from typing import Any

LLAMA, L4, L40S = "meta-llama/Llama-3.1-8B", "nvidia-l4-24gb", "nvidia-l40s-48gb"
GENERATED = {
    "arrivals": {"process": "poisson", "rate": 2.0},
    "prompt_tokens": {"law": "lognormal", "median": 300, "sigma": 0.6, "max": 2000},
    "output_tokens": {"law": "lognormal", "median": 60, "sigma": 0.5, "max": 300},
    "requests": 40,
}
SERVING: dict[str, Any] = {
    "name": "eight billion", "model": LLAMA, "device": L40S, "replicas": 2, "load": {"generator": GENERATED},
}  # fmt: skip
CASCADE: dict[str, Any] = {
    "kind": "cascade",
    "pools": {"edge": {"model": LLAMA, "device": L4}, "cloud": {"model": LLAMA, "device": "nvidia-h100-sxm-80gb"}},
    "plan": {"policy": "cascade", "options": {"tiers": ["edge", "cloud"], "thresholds": [0.7], "accuracy": 0.9}},
    "load": {"generator": GENERATED},
}
TRAINING: dict[str, Any] = {
    "kind": "training",
    "model": {"layers": 8, "hidden": 2048, "heads": 16, "name": "gpt-small"},
    "device": "nvidia-a100-sxm-80gb",
    "layout": {"tensor": 2, "pipeline": 2},
    "batch": {"sequence": 1024, "micro": 1, "global_size": 8},
}
TRAINING_PLAN: dict[str, Any] = {
    "kind": "training-plan",
    "devices": 4,
    "scenario": {k: v for k, v in TRAINING.items() if k not in ("kind", "layout")},
    "search": {"layout.chunks": [1], "batch.micro": [1, 2], "layout.zero": [0], "recompute": ["none"]},
    "best": 3,
}
ROUNDS: dict[str, Any] = {
    "kind": "rounds", "workers": 8, "rounds": 20, "work": {"base_s": 0.1, "batch_s": 0.4},
    "slowdowns": [{"kind": "jitter", "mean": 0.5}],
}  # fmt: skip
FEDERATED: dict[str, Any] = {
    "kind": "federated",
    "model": {"parameters": 1_000_000, "step_gflop": 10},
    "clients": {
        "count": 50, "gflop_per_s": {"median": 20, "deviation": 0.7},
        "uplink_mbit_per_s": {"median": 10, "deviation": 0.8}, "downlink_mbit_per_s": {"median": 40, "deviation": 0.8},
    },
    "local_steps": 5,
    "hours": 1,
    "server": {"policy": "buffered", "options": {"clients": 20, "buffer": 10}},
}  # fmt: skip
INFERENCE: dict[str, Any] = {
    "kind": "inference", "name": "a classifier", "model": "resnet-18", "device": L4, "format": "fp16", "batch": 8,
}  # fmt: skip
NETWORK_SEARCH: dict[str, Any] = {
    "kind": "network-search",
    "scenario": {"model": "mobilenet-v2", "device": L4, "runtime": "compiled"},
    "space": {"options.width": [0.5, 0.75, 1.0], "options.resolution": [160, 224]},
    "minimise": ["latency_ms"],
    "maximise": ["macs"],
}
PIPELINE: dict[str, Any] = {
    "kind": "pipeline",
    "sources": {"camera": {"arrivals": {"process": "periodic", "per_s": 15}, "items": 60, "to": "whole"}},
    "devices": {"edge": {"device": "nvidia-jetson-nano"}},
    "stages": {"whole": {"service": {"kind": "model", "model": "resnet-18", "device": "edge"}}},
}
PUBLISHED: dict[str, Any] = {
    "kind": "published",
    "name": "twice the devices",
    "paper": {"system": "Two", "title": "Two are more than one", "source": "nowhere"},
    "scenario": SERVING,
    "baseline": {"replicas": 1},
    "system": {"replicas": 2},
    "measure": {"figure": "latency_ms.e2e.mean", "better": "lower"},
    "reported": {"ratio": 1.5, "says": "more"},
    "assumptions": [],
}
PLAN: dict[str, Any] = {
    "model": LLAMA,
    "load": {"generator": GENERATED},
    "objectives": {"ttft_ms": {"p99": 2000}},
    "devices": [L40S, L4],
    "max_replicas": 4,
}
KINDS = {
    "serving": SERVING, "cascade": CASCADE, "training": TRAINING, "training-plan": TRAINING_PLAN, "rounds": ROUNDS,
    "federated": FEDERATED, "inference": INFERENCE, "network-search": NETWORK_SEARCH, "pipeline": PIPELINE,
}  # fmt: skip
