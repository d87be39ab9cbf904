"""What each operator type means: the shapes of its results, and what there is to compute and to move.

A type is a row in `KINDS`; types that are not there are estimated as memory-bound and counted (`lowering.unknown`).
"""

from simulator.workloads.graphs.kinds.backward import BACKWARD
from simulator.workloads.graphs.kinds.contrib import CONTRIB
from simulator.workloads.graphs.kinds.convolution import CONVOLUTION
from simulator.workloads.graphs.kinds.einsum import EINSUM
from simulator.workloads.graphs.kinds.elementwise import ELEMENTWISE
from simulator.workloads.graphs.kinds.experts import EXPERTS
from simulator.workloads.graphs.kinds.fused_attention import FUSED_ATTENTION
from simulator.workloads.graphs.kinds.kind import Kind
from simulator.workloads.graphs.kinds.lookup import LOOKUP
from simulator.workloads.graphs.kinds.movement import MOVEMENT
from simulator.workloads.graphs.kinds.neighbours import NEIGHBOURS
from simulator.workloads.graphs.kinds.normalisation import NORMALISATION
from simulator.workloads.graphs.kinds.parallel import PARALLEL
from simulator.workloads.graphs.kinds.pooling import POOLING
from simulator.workloads.graphs.kinds.product import PRODUCT
from simulator.workloads.graphs.kinds.quantised import QUANTISED
from simulator.workloads.graphs.kinds.recurrent import RECURRENT
from simulator.workloads.graphs.kinds.sampling import SAMPLING
from simulator.workloads.graphs.kinds.scan import SCAN
from simulator.workloads.graphs.kinds.selection import SELECTION
from simulator.workloads.graphs.kinds.signal import SIGNAL
from simulator.workloads.graphs.kinds.spiking import SPIKING

KINDS: dict[str, Kind] = {
    **CONVOLUTION, **ELEMENTWISE, **MOVEMENT, **NORMALISATION, **PARALLEL, **POOLING, **PRODUCT, **RECURRENT,
    **CONTRIB, **EINSUM, **FUSED_ATTENTION, **QUANTISED, **SAMPLING, **SELECTION, **SIGNAL,
    **BACKWARD, **EXPERTS, **LOOKUP, **NEIGHBOURS, **SCAN, **SPIKING,
}  # fmt: skip

__all__ = ["KINDS", "Kind"]
