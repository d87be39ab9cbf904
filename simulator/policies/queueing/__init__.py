"""Queue disciplines: the order in which waiting sequences are admitted, and whether they may replace running ones.

A discipline is any object with `key(sequence, now)`; see `discipline.py` for what else it may define. It composes with
every batching policy, which sees its queue in place of a deque.
"""

from simulator.policies.queueing.arrival import FirstComeFirstServed
from simulator.policies.queueing.deadline import EarliestDeadlineFirst
from simulator.policies.queueing.discipline import Discipline
from simulator.policies.queueing.disciplined import Disciplined
from simulator.policies.queueing.fair import VirtualTokenCounter
from simulator.policies.queueing.feedback import SkipJoinFeedback
from simulator.policies.queueing.prefix import PrefixGroups
from simulator.policies.queueing.priority import Priority
from simulator.policies.queueing.shortest import ShortestJobFirst, ShortestRemainingFirst
from simulator.policies.queueing.updated import UpdatedPriority
from simulator.policies.queueing.waiting import DisciplinedQueue

__all__ = [
    "Discipline",
    "Disciplined",
    "DisciplinedQueue",
    "EarliestDeadlineFirst",
    "FirstComeFirstServed",
    "PrefixGroups",
    "Priority",
    "ShortestJobFirst",
    "ShortestRemainingFirst",
    "SkipJoinFeedback",
    "UpdatedPriority",
    "VirtualTokenCounter",
]
