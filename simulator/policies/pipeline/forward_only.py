"""A schedule without backward passes."""

from __future__ import annotations

from simulator.policies.pipeline.schedule import Pass


class ForwardOnly:
    """Forward passes of all micro-batches; with several chunks a stage takes turns as interleaved schedules do.

    As many micro-batches as there are stages go through one chunk before the next (arXiv:2104.04473, section 2.2).
    """

    splits = False

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        groups = (range(m, min(m + stages, micro_batches)) for m in range(0, micro_batches, stages))
        return [Pass("forward", m, chunk) for group in groups for chunk in range(chunks) for m in group]
