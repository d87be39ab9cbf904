"""Role policies: how many replicas compute prompts, and how many decode.

A role policy is any object with `wanted(pools) -> int`.
"""

from simulator.policies.roles.rules import Attainment, Fixed, QueueAndCache, Scheduled
from simulator.policies.roles.views import PoolsView, Role, RolePolicy

__all__ = ["Attainment", "Fixed", "PoolsView", "QueueAndCache", "Role", "RolePolicy", "Scheduled"]
