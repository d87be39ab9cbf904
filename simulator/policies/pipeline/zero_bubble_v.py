"""ZB-V: weight gradients apart, and two chunks a stage that run down the stages and back up."""

from __future__ import annotations

from simulator.policies.pipeline.schedule import Kind, Pass


class ZeroBubbleV:
    """ZB-V (Qi et al., arXiv:2401.10241, section 6): stage s holds piece s and, counted from the end, piece s again.

    The stage that a micro-batch enters is the one that it leaves, so that backward passes begin there at once and every
    stage keeps what the first one keeps under 1F1B. With equal forward, backward and weight passes and twice as many
    micro-batches as stages no stage ever waits between its first pass and its last.
    """

    splits = True

    def pieces(self, stage: int, stages: int, chunks: int) -> tuple[int, int]:
        if chunks != 2:
            raise ValueError(f"zero-bubble-v runs two chunks a stage, not {chunks}: set chunks to 2")
        return stage, 2 * stages - 1 - stage

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        """With fewer micro-batches than fill the stages, the passes of those that are missing are left out."""
        made = _Passes()
        whole = max(micro_batches, 2 * stages - 1)
        made.add(2 * (stages - stage) - 1, ("forward", 0))
        made.add(stage, ("forward", 1), ("forward", 0))
        made.add(stages - stage, ("forward", 1), ("backward", 1), ("weights", 1))
        made.add(whole - made.count["forward", 0], *STEADY)
        made.add(whole - made.count["forward", 1], *STEADY[1:])
        made.add(stage, ("backward", 0), ("backward", 1))
        made.add(stages - stage, ("backward", 0), ("weights", 0))
        for chunk in (1, 0):
            made.add(whole - made.count["weights", chunk], ("weights", chunk))
        return [p for p in made.passes if p.micro_batch < micro_batches]


STEADY: tuple[tuple[Kind, int], ...] = (
    ("forward", 0), ("backward", 0), ("weights", 0), ("forward", 1), ("backward", 1), ("weights", 1),
)  # fmt: skip


class _Passes:
    """Passes of one stage; those of one kind and chunk take the micro-batches in turn."""

    def __init__(self) -> None:
        self.passes: list[Pass] = []
        self.count: dict[tuple[Kind, int], int] = dict.fromkeys(STEADY, 0)

    def add(self, times: int, *those: tuple[Kind, int]) -> None:
        for _ in range(times):
            for kind, chunk in those:
                self.passes.append(Pass(kind, self.count[kind, chunk], chunk))
                self.count[kind, chunk] += 1
