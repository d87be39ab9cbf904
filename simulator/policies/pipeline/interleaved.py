"""Interleaved 1F1B: several chunks a stage, so that the pipeline fills in a fraction of the time."""

from __future__ import annotations

from simulator.policies.pipeline.schedule import Pass


class Interleaved:
    """1F1B over `chunks` chunks a stage, taken in groups of as many micro-batches as there are stages.

    Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM", SC 2021,
    section 2.2.2: the bubble shrinks by the number of chunks, and activations pass between stages as often more.
    """

    splits = False

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        if micro_batches % stages:
            raise ValueError(
                f"interleaving needs micro-batches in multiples of the {stages} stages, and there are {micro_batches}: "
                "change global_batch, or set chunks to 1"
            )
        total = micro_batches * chunks
        ahead = total if micro_batches == stages else min(total, 2 * (stages - stage - 1) + (chunks - 1) * stages)
        group = stages * chunks

        def pass_of(number: int, *, forward: bool) -> Pass:
            place = number % group
            chunk = place // stages
            micro_batch = number // group * stages + place % stages
            return Pass("forward", micro_batch, chunk) if forward else Pass("backward", micro_batch, chunks - 1 - chunk)

        found = [pass_of(n, forward=True) for n in range(ahead)]
        for n in range(ahead, total):
            found += [pass_of(n, forward=True), pass_of(n - ahead, forward=False)]
        return found + [pass_of(n, forward=False) for n in range(total - ahead, total)]
