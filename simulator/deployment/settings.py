"""What several engines need to know of a pool, read from its scenario's policies and their options."""

from __future__ import annotations

from simulator.deployment.naming import is_file
from simulator.deployment.pools import Pool
from simulator.hardware.overheads import overheads
from simulator.policies.registry import build_policy
from simulator.policies.speculation.drafters import DraftModel

GB = 1e9


def is_eager(pool: Pool) -> bool:
    """Whether the engine that is simulated launches kernel by kernel."""
    return overheads(pool.scenario.engine).engine.endswith("eager")


def chain_length(pool: Pool) -> int | None:
    """Tokens of every draft, where they are chains of one length; None for any other speculation, or none."""
    given = pool.scenario.speculation
    if given.policy != "fixed" or given.asynchronous or given.in_flight > 1:
        return None
    if given.draft.source not in ("n-gram", "mtp", "model"):
        return None
    widths: tuple[int, ...] = build_policy("speculation", given.policy, given.options).draft.widths
    return len(widths) if widths and set(widths) == {1} and "tree" not in given.options else None


def draft_model(pool: Pool) -> DraftModel | None:
    """The model that drafts, if it is a checkpoint on the target's own devices."""
    given = pool.scenario.speculation.draft
    found = build_policy("draft", given.source, given.options)
    own = isinstance(found, DraftModel) and found.device is None and not is_file(found.model)
    return found if own else None


def host_tier(pool: Pool) -> tuple[int, float] | None:
    """The place of the tier in host memory among all tiers, and its bytes, if they are stated."""
    for place, tier in enumerate(pool.scenario.kv_cache.tiers):
        if tier.name == "host" and tier.capacity_gb is not None and not tier.shared:
            return place, tier.capacity_gb * GB
    return None
