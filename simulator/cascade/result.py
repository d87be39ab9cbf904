"""What a cascade did beyond what its requests saw: its calls, and each pool's own run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.cascade.spec import Cascade
from simulator.engine.recorder import Floats

if TYPE_CHECKING:
    from simulator.experiment import Result


@dataclass(frozen=True)
class Calls:
    """Calls by column (see `engine.planned.CALL_COLUMNS`), with what their numbers stand for.

    `pools` are runs of the calls by pool, in the order of their numbers, as if each were a request; `roles` names
    roles by number, `sent_bytes` is the text that went to each pool and back. `loads` counts, by group of pools that
    share devices, how often weights were loaded and the seconds that took.
    """

    cascade: Cascade
    columns: dict[str, Floats]
    roles: tuple[str, ...]
    pools: dict[str, Result]
    sent_bytes: dict[str, int]
    loads: dict[str, tuple[int, float]]

    def of_requests(self, columns: dict[str, Floats]) -> dict[str, Any]:
        """Columns of whole requests that those of one call lack: who answered, and what was called for it."""
        names = np.array(list(self.pools), dtype=object)
        whole = ("calls", "rounds", "called_prompt_tokens", "called_output_tokens")
        return {"answered_by": names[columns["answered_by"].astype(np.int64)]} | {
            name: columns[name].astype(np.int64) for name in whole
        }

    def table(self) -> dict[str, Any]:
        """Columns of `calls.parquet`: one row a call, seconds and tokens, pools and roles by name."""
        names = {"pool": list(self.pools), "role": list(self.roles)}
        table: dict[str, Any] = {}
        for name, values in self.columns.items():
            if name in names:
                table[name] = np.array(names[name], dtype=object)[values.astype(np.int64)]
            else:
                table[name] = values if name.endswith("_s") else values.astype(np.int64)
        return table
