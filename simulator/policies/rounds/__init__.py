"""When rounds of gradients by several workers end."""

from simulator.policies.rounds.closing import Closed, Progress, RoundRule
from simulator.policies.rounds.coding import GradientCoding, SequentialGradientCoding
from simulator.policies.rounds.waiting import BackupWorkers, DynamicBackupWorkers, WaitForAll

__all__ = [
    "BackupWorkers",
    "Closed",
    "DynamicBackupWorkers",
    "GradientCoding",
    "Progress",
    "RoundRule",
    "SequentialGradientCoding",
    "WaitForAll",
]
