"""Gradient compression: what is computed and what is sent in place of an all-reduce of all gradients."""

from simulator.policies.compression.low_rank import PowerSgd
from simulator.policies.compression.none import NO_COMPRESSION, NoCompression
from simulator.policies.compression.one_bit import OneBitAdam
from simulator.policies.compression.protocol import Compression, Gradient, Reduction
from simulator.policies.compression.quantised import Quantised
from simulator.policies.compression.sketch import CountSketch
from simulator.policies.compression.top_k import DeepGradientCompression

__all__ = [
    "NO_COMPRESSION",
    "Compression",
    "CountSketch",
    "DeepGradientCompression",
    "Gradient",
    "NoCompression",
    "OneBitAdam",
    "PowerSgd",
    "Quantised",
    "Reduction",
]
