"""How far workers that share a parameter server may drift apart, and when it updates the model."""

from simulator.policies.consistency.bulk_synchronous import BulkSynchronous
from simulator.policies.consistency.consistency import Consistency
from simulator.policies.consistency.stale import Asynchronous, BatchAsynchronous, StaleSynchronous

__all__ = ["Asynchronous", "BatchAsynchronous", "BulkSynchronous", "Consistency", "StaleSynchronous"]
