"""What of a scenario is in use, by the names that messages give it, and the refusal of what is not modelled beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.errors import refuse_beside

if TYPE_CHECKING:
    from simulator.scenario import Scenario

IN_USE: dict[str, Callable[[Scenario], bool]] = {
    "adapters": lambda s: s.adapters is not None,
    "attention_offload": lambda s: s.attention_offload is not None,
    "autoscaling": lambda s: s.autoscaling.policy != "fixed",
    "batching static": lambda s: s.batching.policy == "static",
    "disaggregation": lambda s: s.disaggregation is not None,
    "disaggregation.roles": lambda s: s.disaggregation is not None and s.disaggregation.roles.policy != "fixed",
    "execution": lambda s: s.execution.policy != "sequential",
    "experts.local_share": lambda s: s.experts.local_share > 0,
    "experts.offload": lambda s: s.experts.offload is not None,
    "failures": lambda s: s.failures.any,
    "feed_forward": lambda s: s.feed_forward is not None,
    "finetuning": lambda s: s.finetuning is not None,
    "kv_cache.blocks": lambda s: s.kv_cache.blocks is not None,
    "kv_cache.keep_share": lambda s: s.kv_cache.keep_share is not None,
    "kv_cache.tiers": lambda s: bool(s.kv_cache.tiers),
    "migration": lambda s: s.migration.policy != "none",
    "pairing": lambda s: s.pairing is not None,
    "parallel.data above 1": lambda s: s.parallel.data > 1,
    "parallel.pipeline above 1": lambda s: s.parallel.pipeline > 1,
    "partition": lambda s: s.partition is not None,
    "partition.split": lambda s: s.partition is not None and s.partition.split is not None,
    "power": lambda s: s.power is not None,
    "prompt_model": lambda s: s.prompt_model is not None,
    "queue": lambda s: s.queue.policy != "fcfs",
    "shared_prefix_tokens": lambda s: s.shared_prefix_tokens > 0,
    "speculation": lambda s: s.speculation.policy != "none",
}
_NAMED_WITH_POLICY = ("autoscaling", "execution", "migration", "queue")


def refuse_together(what: str, scenario: Scenario, *others: str) -> None:
    """Raise an `InputError` for the first of `others` (keys of `IN_USE`) that the scenario uses beside `what`."""
    refuse_beside(what, {_label(name, scenario): IN_USE[name](scenario) for name in others})


def _label(name: str, scenario: Scenario) -> str:
    return f"{name} {getattr(scenario, name).policy}" if name in _NAMED_WITH_POLICY else name
