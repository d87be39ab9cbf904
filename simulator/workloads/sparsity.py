"""Where a pruned weight's numbers are other than zero, and what is stored to say so."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from simulator.errors import unknown_name
from simulator.workloads.operators import Size

_N_OF_M = re.compile(r"(\d+):(\d+)")
_BLOCK = re.compile(r"block-(\d+)x(\d+)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of kept numbers: in blocks of `rows` outputs by `columns` inputs, or `kept` of every `of` numbers.

    Each kept block has `index_bits` that say where it is, and each number `mask_bits` whether it is kept or not.
    """

    name: str
    rows: int = 1
    columns: int = 1
    kept: int = 0
    of: int = 0
    index_bits: float = 0.0
    mask_bits: float = 0.0
    source: str = ""

    @property
    def n_of_m(self) -> bool:
        """Whether each group of `of` numbers keeps `kept` of them."""
        return self.of > 0

    def stored_bits(self, density: Size, bits: float) -> Size:
        """Bits stored for each number of the dense array, of which the share `density` is kept in `bits` each."""
        return density * (bits + self.index_bits / (self.rows * self.columns)) + self.mask_bits


NAMED = {
    p.name: p
    for p in (
        Pattern("dense"),
        Pattern(
            "unstructured", index_bits=16, source="Tiled-CSL of Flash-LLM (arXiv:2309.10285, 4.3): a 16-bit place each"
        ),
        Pattern("csr", index_bits=32, source="compressed rows with 32-bit columns (cuSPARSE), row starts left out"),
        Pattern("bitmap", mask_bits=1, source="one bit for each number (SparTA, OSDI 2022; SpInfer, EuroSys 2025)"),
    )
}


def pattern(name: str) -> Pattern:
    """The pattern of this name, of "N:M" or of "block-ROWSxCOLUMNS". Raises `InputError` for another.

    N:M stores log2(M) bits for each kept number (NVIDIA Ampere whitepaper, fine-grained structured sparsity), blocks
    one 32-bit place each (XNNPACK's sparse kernels, arXiv:1911.09723, 3.1).
    """
    if name in NAMED:
        return NAMED[name]
    if (found := _N_OF_M.fullmatch(name)) and 0 < int(found[1]) <= int(found[2]):
        kept, of = int(found[1]), int(found[2])
        return Pattern(name, kept=kept, of=of, index_bits=math.ceil(math.log2(of)))
    if (found := _BLOCK.fullmatch(name)) and int(found[1]) and int(found[2]):
        return Pattern(name, rows=int(found[1]), columns=int(found[2]), index_bits=32)
    raise unknown_name("pattern of sparsity", name, [*NAMED, "2:4", "block-4x1"], remedy="(or N:M, or block-RxC)")
