"""How several devices share one network that runs step by step: by patches, by stages, or by both."""

from simulator.policies.parallel.patches import Patches
from simulator.policies.parallel.plan import ParallelPolicy
from simulator.policies.parallel.stages import AsynchronousStages, PatchPipeline

__all__ = ["AsynchronousStages", "ParallelPolicy", "PatchPipeline", "Patches"]
