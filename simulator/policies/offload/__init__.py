"""Offloading of training: what leaves the device between the moments that need it."""

from simulator.policies.offload.deep_optimizer_states import DeepOptimizerStates
from simulator.policies.offload.fuyou import Fuyou
from simulator.policies.offload.pipe_offload import ActivationOffload, Life, PipeOffload
from simulator.policies.offload.plan import Activation, LayerOffload, LayerSizes, Plan, Tier
from simulator.policies.offload.selective import Selective, SequenceOffload
from simulator.policies.offload.zero import ZeroInfinity, ZeroOffload

__all__ = [
    "Activation",
    "ActivationOffload",
    "DeepOptimizerStates",
    "Fuyou",
    "LayerOffload",
    "LayerSizes",
    "Life",
    "PipeOffload",
    "Plan",
    "Selective",
    "SequenceOffload",
    "Tier",
    "ZeroInfinity",
    "ZeroOffload",
]
