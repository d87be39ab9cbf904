"""A fleet of models: the request says which one it is for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simulator.errors import InputError
from simulator.policies.plans.plan import Call, Query


class ByModel:
    """Sends each request to the model that it names: its tenant is a place among the `models`, from 0.

    Models are pools, in the order of the file if not given. With `shares`, one number a model, the model is drawn
    with these proportions instead, as for loads that name none.
    """

    def __init__(
        self,
        pools: tuple[str, ...],
        *,
        models: Sequence[str] | None = None,
        shares: Sequence[float] | None = None,
    ) -> None:
        self.pools = tuple(pools if models is None else models)
        self._edges: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None
        if shares is not None:
            weights = np.asarray(shares, dtype=np.float64)
            if weights.shape != (len(self.pools),) or weights.min() < 0 or not 0 < weights.sum() < np.inf:
                raise ValueError(f"shares are {list(shares)}, which must be {len(self.pools)} numbers of 0 or more")
            self._edges = np.cumsum(weights) / weights.sum()

    def rounds(self, query: Query, rng: np.random.Generator) -> Iterator[tuple[Call, ...]]:
        """One call. Raises `InputError` for a tenant that is no model's place."""
        model = query.tenant if self._edges is None else int(np.searchsorted(self._edges, rng.random(), side="right"))
        if not 0 <= model < len(self.pools):
            raise InputError(
                f"request {query.index} is of tenant {model}, and the plan by-model has {len(self.pools)} models, "
                "from 0: name more of them or give shares"
            )
        yield (Call(self.pools[model], query.whole_tokens, query.output_tokens, repeats=True),)
