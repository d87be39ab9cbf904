"""How sites that train on their own keep their models together."""

from simulator.policies.synchronisation.every_step import EveryStep
from simulator.policies.synchronisation.exchange import Exchange, Synchronisation
from simulator.policies.synchronisation.local_steps import DiLoCo, LocalSgd, StreamingDiLoCo

__all__ = ["DiLoCo", "EveryStep", "Exchange", "LocalSgd", "StreamingDiLoCo", "Synchronisation"]
