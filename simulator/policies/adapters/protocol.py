"""What a policy for adapters is: how they are kept and run, and whose turn it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Form(StrEnum):
    """What of an adapter is on the device.

    FACTORS lie beside the base model, and every batch pays for the adapters in it. MODEL is a merged copy of the whole
    model, with batches and KV cache of its own sequences, copies taking turns iteration by iteration. DELTA is added
    to the base model's weights, so that batches hold one adapter's sequences and nothing runs during a change.
    """

    FACTORS = "factors"
    MODEL = "model"
    DELTA = "delta"


class AdapterPolicy(Protocol):
    """How a replica serves adapters; all of them are in host memory, and those that are waited for are loaded.

    `slots` adapters at most are on the device, in memory reserved at the start; None keeps them in pages of the KV
    pool. Those that no running sequence uses give way, the least recently used first. `overtakes` lets requests whose
    adapters are there be admitted while an older one waits for memory for its own.
    """

    form: Form
    slots: int | None
    overtakes: bool

    def admits(self, place: int, landed: int, elsewhere: int) -> bool:
        """Whether the request at `place` in the queue may run, its adapter being there.

        `landed` is the place that was the next to be given when that adapter came, `elsewhere` the place of the oldest
        request whose adapter is not there. Lower places are older.
        """
        ...
