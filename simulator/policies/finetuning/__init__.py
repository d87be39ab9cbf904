"""Fine-tuning beside serving: how many fine-tuning tokens an iteration takes.

A policy is any object with the methods of `FinetuningPolicy`.
"""

from simulator.policies.finetuning.co_serving import CoServing
from simulator.policies.finetuning.idle import Idle, NoFinetuning
from simulator.policies.finetuning.temporal import Temporal
from simulator.policies.finetuning.views import FinetuningPolicy, Outlook

__all__ = ["CoServing", "FinetuningPolicy", "Idle", "NoFinetuning", "Outlook", "Temporal"]
