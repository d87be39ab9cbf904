"""How many steps each worker trains alone before it tells the others."""

from simulator.policies.local_steps.dealing import BySpeed, Equal, LocalStepRule

__all__ = ["BySpeed", "Equal", "LocalStepRule"]
