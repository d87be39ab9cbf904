"""Live migration: which running sequences go to another replica.

A migration policy is any object with `moves(instances) -> list[Move]`.
"""

from simulator.policies.migration.llumnix import Llumnix
from simulator.policies.migration.views import Instance, MigrationPolicy, Move, NoMigration, Resident

__all__ = ["Instance", "Llumnix", "MigrationPolicy", "Move", "NoMigration", "Resident"]
