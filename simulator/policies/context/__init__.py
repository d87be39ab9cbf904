"""Context parallelism: how ranks share a sequence in attention, and what they send beside which blocks of it."""

from simulator.policies.context.loongtrain import HeadContext
from simulator.policies.context.ring import Ring, SelfAttentionRing
from simulator.policies.context.sharing import ContextParallel
from simulator.policies.context.tokenring import TokenRing
from simulator.policies.context.ulysses import Ulysses

__all__ = ["ContextParallel", "HeadContext", "Ring", "SelfAttentionRing", "TokenRing", "Ulysses"]
