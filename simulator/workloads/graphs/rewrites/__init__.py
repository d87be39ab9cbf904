"""Rewrites of operator graphs, one class each: a graph in, a graph out. They can follow one another."""

from simulator.workloads.graphs.rewrites.adapters import Adapt
from simulator.workloads.graphs.rewrites.attending import ConvertCache, FuseAttention, SparseAttention, SplitAttention
from simulator.workloads.graphs.rewrites.autocast import Autocast
from simulator.workloads.graphs.rewrites.biases import JoinBiases, SplitBiases
from simulator.workloads.graphs.rewrites.block_fusion import FuseBlocks
from simulator.workloads.graphs.rewrites.blocking import BlockChannels
from simulator.workloads.graphs.rewrites.bottleneck import Bottleneck
from simulator.workloads.graphs.rewrites.dropping import Drop
from simulator.workloads.graphs.rewrites.exiting import EarlyExit
from simulator.workloads.graphs.rewrites.factorising import Factorise
from simulator.workloads.graphs.rewrites.folding import Fold
from simulator.workloads.graphs.rewrites.formats import Convert
from simulator.workloads.graphs.rewrites.fusing import Fuse
from simulator.workloads.graphs.rewrites.generated import FuseNorms
from simulator.workloads.graphs.rewrites.gradient_filtering import FilterGradients
from simulator.workloads.graphs.rewrites.layouts import ConvertLayouts
from simulator.workloads.graphs.rewrites.lite_residual import LiteResidual
from simulator.workloads.graphs.rewrites.looking_up import LookUp
from simulator.workloads.graphs.rewrites.narrowing import PruneChannels
from simulator.workloads.graphs.rewrites.patches import Patch
from simulator.workloads.graphs.rewrites.pruning import Prune, PrunePositions
from simulator.workloads.graphs.rewrites.quantising import Quantise
from simulator.workloads.graphs.rewrites.reparameterising import Reparameterise
from simulator.workloads.graphs.rewrites.rewrite import ModelRewrite, Rewrite
from simulator.workloads.graphs.rewrites.side_by_side import FuseSideBySide
from simulator.workloads.graphs.rewrites.side_network import SideNetwork
from simulator.workloads.graphs.rewrites.skipping import SkipNorm
from simulator.workloads.graphs.rewrites.step_caching import CacheSteps, SkipGuidance, StreamBatch
from simulator.workloads.graphs.rewrites.strides import Strides
from simulator.workloads.graphs.rewrites.tokens import MergeTokens
from simulator.workloads.graphs.rewrites.training import Train

__all__ = [
    "Adapt", "Autocast", "BlockChannels", "Bottleneck", "CacheSteps", "Convert", "ConvertCache", "ConvertLayouts",
    "Drop", "EarlyExit", "Factorise", "FilterGradients", "Fold", "Fuse", "FuseAttention", "FuseBlocks", "FuseNorms",
    "FuseSideBySide", "JoinBiases", "LiteResidual", "LookUp", "MergeTokens", "ModelRewrite", "Patch", "Prune",
    "PruneChannels", "PrunePositions", "Quantise", "Reparameterise", "Rewrite", "SideNetwork", "SkipGuidance",
    "SkipNorm", "SparseAttention", "SplitAttention", "SplitBiases", "StreamBatch", "Strides", "Train",
]  # fmt: skip
