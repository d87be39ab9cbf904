"""Which of the shortest paths each flow takes through a network."""

from simulator.policies.paths.hashed import Ecmp
from simulator.policies.paths.planned import Planned
from simulator.policies.paths.protocol import Demand, PathPolicy, Paths, Share
from simulator.policies.paths.splitting import MinimalSplitting
from simulator.policies.paths.spraying import Spraying

__all__ = ["Demand", "Ecmp", "MinimalSplitting", "PathPolicy", "Paths", "Planned", "Share", "Spraying"]
