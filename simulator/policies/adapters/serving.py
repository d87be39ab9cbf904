"""The policies for adapters that systems use."""

from __future__ import annotations

from simulator.policies.adapters.protocol import Form


class Unified:
    """Adapters in pages of the KV pool, loaded while their requests wait; batches mix them (S-LoRA, section 5).

    First come, first served: where memory for an adapter is missing, younger requests wait too.
    """

    form = Form.FACTORS
    slots: int | None = None
    overtakes = False

    def admits(self, place: int, landed: int, elsewhere: int) -> bool:
        """Any request."""
        return True


class Static:
    """A fixed number of `slots` for adapters of the largest rank; batches mix those that are in them.

    Requests of others wait for a slot that no running sequence uses and are overtaken, for as long as popular
    adapters go on (vLLM, `max_loras`, `vllm/v1/core/sched/scheduler.py`).
    """

    form = Form.FACTORS
    overtakes = True

    def __init__(self, *, slots: int = 1) -> None:
        self.slots: int | None = _some(slots)

    def admits(self, place: int, landed: int, elsewhere: int) -> bool:
        """Any request."""
        return True


class Merged:
    """`slots` merged copies of the whole model, which take turns on the device (vLLM-packed in S-LoRA, section 7.1).

    Where there are more adapters than slots, a copy takes no requests younger than the oldest one of a copy that is
    not there, except those that waited when it came, and is then overwritten over the host link.
    """

    form = Form.MODEL
    overtakes = True

    def __init__(self, *, slots: int = 1) -> None:
        self.slots: int | None = _some(slots)

    def admits(self, place: int, landed: int, elsewhere: int) -> bool:
        """Requests of this turn."""
        return place < max(landed, elsewhere)


class Switching:
    """One adapter at a time, added to the weights and taken out again (PEFT in S-LoRA, section 7.1).

    Its turn lasts for the requests that waited when it came, and for younger ones until another adapter's is older.
    """

    form = Form.DELTA
    slots: int | None = 1
    overtakes = True

    def admits(self, place: int, landed: int, elsewhere: int) -> bool:
        """Requests of this turn."""
        return place < max(landed, elsewhere)


def _some(slots: int) -> int:
    if slots < 1:
        raise ValueError(f"slots is {slots}: give at least 1")
    return slots
