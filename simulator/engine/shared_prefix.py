"""Decode attention that reads the cache of a prefix common to all sequences once a batch, not once a sequence.

The queries of all sequences attend to the prefix as the rows of one matrix, each to the rest of its own context as
ever, and a rescaling step merges both outputs (RelayAttention, arXiv:2402.14808).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.law import TimingLaw
from simulator.workloads.operators import Elementwise

Floats = NDArray[np.float64]
MERGE_FLOPS = 4.0  # of one output number: two products, one sum, and its share of the two weights


@dataclass(frozen=True, slots=True)
class SharedPrefixLayer:
    """One layer's decode attention where all sequences begin with the same `tokens` tokens.

    The prefix is timed by the kernel for prompts, with one query row a sequence, the rest by that for decoding,
    both after each other.
    """

    kernel: AttentionKernel
    law: TimingLaw
    tokens: int

    def __post_init__(self) -> None:
        if self.kernel.decode_shape.latent:
            raise InputError("shared_prefix_tokens with latent attention is not modelled: leave it out")

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        """Seconds for `sequences` that attend to so many tokens in all, the prefix counted for each (any shape)."""
        if sequences < 2:
            return np.asarray(self.kernel.decoding(sequences, attended).seconds(), dtype=np.float64)
        own = np.maximum(attended - sequences * self.tokens, 0.0)
        rest = np.asarray(self.kernel.decoding(sequences, own).seconds(), dtype=np.float64)
        return rest + (self.prefix_seconds(sequences) + self.merge_seconds(sequences))

    def prefix_seconds(self, sequences: float) -> float:
        """Seconds in which all queries attend to the prefix: unlike a prompt's rows, each to all of it."""
        shape = self.kernel.prompt_shape
        before = max(self.tokens - sequences / 2.0, 0.0)  # a causal chunk's rows see half the chunk on average
        return self.kernel.seconds(self.kernel.prompt_curve.work(sequences, before, shape))

    def merge_seconds(self, sequences: float) -> float:
        """Seconds to read two outputs of each query and write one."""
        shape = self.kernel.decode_shape
        numbers = sequences * float(shape.q_heads * shape.v_dim)
        return float(self.law.seconds(Elementwise(numbers, 2, 1, MERGE_FLOPS, shape.activation, "norm")))
