"""Number formats with their true bytes: the payload and its share of the scales."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import unknown_name


@dataclass(frozen=True, slots=True)
class DType:
    """A stored number format.

    `bits` is the payload of one element; every `group` elements share `scale_bits` bits of scales and
    zero points. `compute` names the format whose arithmetic units work on it.
    """

    name: str
    bits: float
    compute: str
    scale_bits: float = 0.0
    group: int = 1
    source: str = "IEEE 754 or the format's own definition"

    @property
    def bytes(self) -> float:
        """Bytes of one stored element, its share of the scales included."""
        return (self.bits + self.scale_bits / self.group) / 8.0


DTYPES: dict[str, DType] = {
    d.name: d
    for d in (
        DType("fp32", 32, "fp32"),
        DType("fp16", 16, "fp16"),
        DType("bf16", 16, "bf16"),
        DType("fp8", 8, "fp8", source="OCP FP8, one fp32 scale a tensor (negligible)"),
        DType(
            "fp8_dynamic", 8, "fp8", 16, 4096, "llm-compressor FP8-dynamic: one scale an output channel, one a token"
        ),
        DType("fp8_block", 8, "fp8", 32, 128 * 128, "DeepSeek-V3 report, 3.3: one fp32 scale a 128x128 block"),
        DType("int16", 16, "int16", source="fixed point: one scale a tensor (negligible)"),
        DType("int8", 8, "int8", 16, 4096, "SmoothQuant: one fp16 scale an output channel, about 4096 long"),
        DType("int8_wo", 8, "bf16", 16, 4096, "weight-only int8: one fp16 scale an output channel"),
        DType("int4", 4, "bf16", 20, 128, "AWQ/GPTQ, weight-only: fp16 scale and 4-bit zero a group of 128"),
        DType(
            "int4_int8",
            4,
            "int8",
            12,
            128,
            "QServe W4A8: an 8-bit scale and a 4-bit zero a group of 128, int8 products",
        ),
        DType(
            "int4_int4", 4, "int4", 16, 4096, "HAWQ-V3 (arXiv:2011.10680): one scale an output channel, int4 products"
        ),
        DType("int2", 2, "bf16", 18, 128, "GPTQ, weight-only: fp16 scale and 2-bit zero a group of 128"),
        DType("q4_0", 4, "int8", 16, 32, "llama.cpp Q4_0: fp16 scale a block of 32, 8-bit inputs"),
        DType("q2_k", 2, "int8", 160, 256, "llama.cpp Q2_K: 84 bytes for 256 weights, 8-bit inputs"),
        DType(
            "int2_int8", 2, "int8", 16, 128, "T-MAC W2A8 (arXiv:2407.00088): fp16 scale a group of 128, 8-bit inputs"
        ),
        DType("int2_serial", 2, "binary", 16, 4096, "DLRT (arXiv:2207.08820): 2-bit numbers as planes of single bits"),
        DType("ternary", 2, "int8", 16, 4096, "BitNet b1.58 (arXiv:2402.17764): -1, 0, 1 in 2 bits, int8 inputs"),
        DType("binary", 1, "binary", 16, 4096, "XNOR-Net (arXiv:1603.05279): signs, one scale an output channel"),
        DType("binary_wo", 1, "bf16", 16, 4096, "weight-only signs: one fp16 scale an output channel"),
        DType("qmoe", 0.8, "bf16", source="QMoE (arXiv:2310.16795): ternary experts behind a dictionary of codewords"),
        DType("bfp8", 8, "bf16", 8, 32, "block floating point: 8-bit mantissas, one exponent for 32 numbers"),
        DType("int32", 32, "fp32", source="accumulators of integer products"),
        DType("mxfp4", 4, "bf16", 8, 32, "OCP MX 1.0: one 8-bit scale a block of 32"),
        DType("mxfp4_mxfp8", 4, "fp8", 8, 32, "OCP MX 1.0: mxfp4 weights on mxfp8 activations"),
        DType("nvfp4", 4, "nvfp4", 8, 16, "NVIDIA NVFP4: one fp8 scale a block of 16"),
    )
}

_ALIASES = {
    "float32": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "float8": "fp8",
    "int4_wo": "int4",
    "fp4": "nvfp4",
}


def dtype(name: str | DType) -> DType:
    """The `DType` of this name (or the usual framework alias of it). Raises `InputError` if unknown."""
    if isinstance(name, DType):
        return name
    key = str(name).lower().removeprefix("torch.")
    key = _ALIASES.get(key, key)
    if key not in DTYPES:
        raise unknown_name("dtype", name, DTYPES)
    return DTYPES[key]
