"""The timing law of each kind of kernel: few physical parameters, fitted for a device and a backend."""

from simulator.hardware.kernels.attention import AttentionCurve, DecodeCurve
from simulator.hardware.kernels.collective import CollectiveCurve
from simulator.hardware.kernels.cores import BlockedCurve, PackedCurve, VectorCurve
from simulator.hardware.kernels.experts import ExpertsCurve
from simulator.hardware.kernels.gemm import GemmCurve
from simulator.hardware.kernels.machine import Machine, Roofs
from simulator.hardware.kernels.streaming import StreamingCurve

__all__ = [
    "AttentionCurve",
    "BlockedCurve",
    "CollectiveCurve",
    "DecodeCurve",
    "ExpertsCurve",
    "GemmCurve",
    "Machine",
    "PackedCurve",
    "Roofs",
    "StreamingCurve",
    "VectorCurve",
]
