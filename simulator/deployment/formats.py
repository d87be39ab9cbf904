"""Formats of weights and activations, which vLLM and SGLang take by the same two flags."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.deployment.flags import Argument
from simulator.deployment.pools import Pool

# vllm/config/model.py, ModelDType; sglang/srt/server_args.py, --dtype
DTYPE = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def format_arguments(pool: Pool, quantization: Mapping[str, str]) -> list[Argument]:
    """`--quantization` by the engine's words for formats of weights, and `--dtype` for 16 and 32 bits."""
    given = pool.scenario.precision
    found = []
    if given.weights is not None and given.weights in quantization:
        found.append(Argument("--quantization", (quantization[given.weights],), ("precision.weights",)))
    if given.weights in DTYPE and given.activations in (None, given.weights):
        found.append(Argument("--dtype", (DTYPE[given.weights],), ("precision.weights", "precision.activations")))
    elif given.activations in DTYPE and given.weights not in DTYPE:
        found.append(Argument("--dtype", (DTYPE[given.activations],), ("precision.activations",)))
    return found
