"""Responses to lost workers in the middle of a run."""

from simulator.policies.elastic.arrangement import Alive, Arrangement, Elastic
from simulator.policies.elastic.dropping import DropReplicas
from simulator.policies.elastic.rerouting import Reroute, Reshard, balanced
from simulator.policies.elastic.restarting import Restart

__all__ = ["Alive", "Arrangement", "DropReplicas", "Elastic", "Reroute", "Reshard", "Restart", "balanced"]
