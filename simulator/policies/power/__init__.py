"""Power policies: at which clock each server of a row runs, so that the row keeps its power budget.

A policy is any object with `clocks(row) -> sequence of clocks`.
"""

from simulator.policies.power.capping import NoCapping, Polca, Uniform
from simulator.policies.power.priority import gives_way
from simulator.policies.power.views import PowerPolicy, RowView, ServerView

__all__ = ["NoCapping", "Polca", "PowerPolicy", "RowView", "ServerView", "Uniform", "gives_way"]
