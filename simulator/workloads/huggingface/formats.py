"""The number format that a checkpoint is published in, from its config."""

from __future__ import annotations

from simulator.workloads.huggingface.fields import Fields

_STORED = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "float8_e4m3fn": "fp8",
    "auto": "bf16",
}
_METHODS = {"fbgemm_fp8": "fp8", "mxfp4": "mxfp4"}
_INTEGERS = {4: "int4", 8: "int8"}
_FLOATS = {4: "nvfp4", 8: "fp8"}


def published_format(c: Fields) -> str:
    """Name of the weights' format (see `simulator.workloads.dtypes`).

    A quantisation method that has no format here leaves the 16-bit one. Raises `InputError` for a
    `torch_dtype` that is none.
    """
    quantised = c.inner("quantization_config")
    found = _quantised(quantised) if quantised is not None else None
    return found or _stored(c)


def _stored(c: Fields) -> str:
    for name in ("torch_dtype", "dtype"):
        given = c.word(name)
        if given is not None:
            if given.removeprefix("torch.") not in _STORED:
                raise c.wrong(name, f"one of {', '.join(_STORED)}")
            return _STORED[given.removeprefix("torch.")]
    return "bf16"


def _quantised(q: Fields) -> str | None:
    method = q.word("quant_method")
    if method == "fp8":
        return "fp8_block" if q.has("weight_block_size") else "fp8"
    if method in ("awq", "gptq"):
        return _INTEGERS.get(q.whole("bits", "w_bit", default=4))
    if method == "bitsandbytes":
        return "int4" if q.flag("load_in_4bit") else "int8" if q.flag("load_in_8bit") else None
    if method == "modelopt":
        return {"FP8": "fp8", "NVFP4": "nvfp4"}.get(q.word("quant_algo") or "")
    if method == "compressed-tensors":
        return _compressed(q)
    return _METHODS.get(method or "")


def _compressed(q: Fields) -> str | None:
    """The weights' format of the first group of layers of a compressed-tensors config."""
    groups = q.inner("config_groups")
    group = groups.inner(min(groups.values)) if groups is not None and groups.values else None
    weights = group.inner("weights") if group is not None else None
    if weights is None:
        return None
    by_bits = _FLOATS if weights.word("type") == "float" else _INTEGERS
    return by_bits.get(weights.whole("num_bits", default=8))
