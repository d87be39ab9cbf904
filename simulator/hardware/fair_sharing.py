"""Max-min fair sharing of links: rates that no flow can raise but at the cost of one that has no more.

Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2 (progressive filling): all rates grow together until a
link is full; the flows through it keep what they have, the others grow on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
# A link counts as full when less than this share of its capacity is left.
FULL = 1e-9


def max_min_rates(usage: csr_array, capacity: Floats) -> Floats:
    """Fair rates, shape (flows,), in the unit of `capacity`, shape (links,).

    `usage` of shape (flows, links) says how many units of each link a flow takes for each unit of its rate: 1 on the
    links of its path, fractions where it is spread over paths, more where it crosses a link several times. A flow
    that crosses no finite link gets an infinite rate. Raises `ValueError` for capacities that are not above 0.
    """
    if not (capacity > 0).all():
        raise ValueError("capacities must be above 0")
    through = usage.T.tocsr()
    rates = np.zeros(usage.shape[0])
    growing = np.ones(usage.shape[0])
    left = capacity.astype(np.float64)
    while growing.any():
        load = through @ growing
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(load > 0, left / load, np.inf)
        step = float(room.min())
        if not np.isfinite(step):
            rates[growing > 0] = np.inf
            break
        rates += step * growing
        left = left - step * load
        full = (load > 0) & ((room <= step) | ((left <= FULL * capacity) & np.isfinite(left)))
        left[full] = 0.0
        growing[(usage @ full.astype(np.float64)) > 0] = 0.0
    return rates
