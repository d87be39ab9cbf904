"""From a scenario to the adapter that it trains, and to the memory that training takes."""

from __future__ import annotations

from simulator.engine.memory import FinetuningMemory, activation_peak
from simulator.policies.batching.state import Limits
from simulator.specs.finetuning import FinetuningSpec
from simulator.workloads.backward import check_trainable
from simulator.workloads.kept_activations import kept_bytes_per_token
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.transformer import Transformer
from simulator.workloads.tuned_adapter import BYTES_PER_PARAMETER, TunedAdapter


def adapter_of(spec: FinetuningSpec) -> TunedAdapter:
    """The adapter that a scenario trains."""
    return TunedAdapter(spec.adapter.rank, spec.adapter.targets)


def memory_of(
    spec: FinetuningSpec | None, model: Transformer, parallel: Parallelism, precision: Precision
) -> FinetuningMemory | None:
    """What fine-tuning takes on each device of a replica; None where it does not fine-tune.

    One sequence is kept; a pass works in one layer's width for every token of it, and in the logits of a window.

    Raises `InputError` for models, layouts and targets that cannot be trained.
    """
    if spec is None or (spec.policy == "none" and spec.spatial is None):
        return None
    check_trainable(model, parallel)
    adapter = adapter_of(spec)
    adapter.check(model)
    kept, unpruned = (
        spec.sequence_tokens * kept_bytes_per_token(model, parallel, precision, adapter, pruned=pruned)
        for pruned in (spec.prune_activations, False)
    )
    workspace = activation_peak(model, parallel, precision, Limits(spec.window_tokens, spec.sequence_tokens))
    return FinetuningMemory(kept, unpruned, workspace, adapter.parameters(model, parallel) * BYTES_PER_PARAMETER)
