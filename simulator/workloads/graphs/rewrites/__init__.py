"""Rewrites of operator graphs, one class each: a graph in, a graph out. They can follow one another."""

from simulator.workloads.graphs.rewrites.bottleneck import Bottleneck
from simulator.workloads.graphs.rewrites.formats import Convert
from simulator.workloads.graphs.rewrites.fusing import Fuse
from simulator.workloads.graphs.rewrites.lite_residual import LiteResidual
from simulator.workloads.graphs.rewrites.patches import Patch
from simulator.workloads.graphs.rewrites.rewrite import Rewrite
from simulator.workloads.graphs.rewrites.training import Train

__all__ = ["Bottleneck", "Convert", "Fuse", "LiteResidual", "Patch", "Rewrite", "Train"]
