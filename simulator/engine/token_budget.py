"""Decode attention over a budget of key tokens that are chosen by accumulated scores (Keyformer, arXiv:2403.09054).

After the prompt a sequence keeps a share of it; every new token takes the place of the one with the least score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.law import TimingLaw
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Elementwise

Floats = NDArray[np.float64]
SCORE = DTYPES["fp32"]
READS, WRITES = 2, 1  # of each head and kept token: its logit and its score; its score again
SCORE_FLOPS = 4.0  # noise, temperature, exponential, sum


@dataclass(frozen=True, slots=True)
class ScoredLayer:
    """One layer's decode attention, and the update of the scores of what it attended to."""

    kernel: AttentionKernel
    law: TimingLaw

    @property
    def score_bytes(self) -> float:
        """Bytes that the scores of one kept token move in a step."""
        return float(self.kernel.decode_shape.q_heads) * (READS + WRITES) * SCORE.bytes

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        """Seconds for `sequences` that attend to so many kept tokens in all (any shape)."""
        scores = attended * float(self.kernel.decode_shape.q_heads)
        update = self.law.seconds(Elementwise(scores, READS, WRITES, SCORE_FLOPS, SCORE))
        return np.asarray(self.kernel.decoding(sequences, attended).seconds() + update, dtype=np.float64)
