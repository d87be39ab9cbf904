"""Plans: which calls to which pools a request makes. A plan is any object with `pools` and `rounds`."""

from simulator.policies.plans.by_model import ByModel
from simulator.policies.plans.chat import Chat
from simulator.policies.plans.ensemble import Ensemble
from simulator.policies.plans.escalation import Escalation
from simulator.policies.plans.minions import MinionS
from simulator.policies.plans.plan import Call, Plan, Query
from simulator.policies.plans.routed import Routed
from simulator.policies.plans.single import Single
from simulator.policies.plans.tiers import Tier

__all__ = ["ByModel", "Call", "Chat", "Ensemble", "Escalation", "MinionS", "Plan", "Query", "Routed", "Single", "Tier"]
