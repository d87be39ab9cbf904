"""What every operator is: a kind, the format it computes in, FLOPs and bytes."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.dtypes import DTYPES

Size = float | NDArray[np.floating[Any]]
BF16 = DTYPES["bf16"]


class Operator(Protocol):
    """What the timing law needs: a kind to look its curve up by, the arithmetic format, FLOPs and bytes."""

    kind: ClassVar[str]

    @property
    def compute(self) -> str:
        """Name of the format whose arithmetic units do the work."""
        ...

    def flops(self) -> Size: ...

    def bytes(self) -> Size: ...
