"""Batching policies: which sequences an engine computes in its next iteration, and how much of each.

A batching policy is any object with `next_batch(state) -> Batch`; see `state.py` for what it may read and do.
"""

from simulator.policies.batching.decode_first import DecodeFirst
from simulator.policies.batching.orca import Orca
from simulator.policies.batching.prefill_first import PrefillFirst
from simulator.policies.batching.sarathi import Sarathi
from simulator.policies.batching.split_fuse import SplitFuse
from simulator.policies.batching.state import Batch, BatchingPolicy, Limits, ServingState
from simulator.policies.batching.static import Static
from simulator.policies.batching.vllm import VllmV1

__all__ = [
    "Batch",
    "BatchingPolicy",
    "DecodeFirst",
    "Limits",
    "Orca",
    "PrefillFirst",
    "Sarathi",
    "ServingState",
    "SplitFuse",
    "Static",
    "VllmV1",
]
