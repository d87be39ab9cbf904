"""Speculative decoding: how much to draft, what writes the draft, and how it is accepted."""

from simulator.policies.speculation.acceptance import AcceptanceLaw, Beta, Constant, Curve
from simulator.policies.speculation.confidence import BigLittle, Hierarchical
from simulator.policies.speculation.drafters import DraftModel, DraftSource, EarlyExit, NGram, PredictionHead
from simulator.policies.speculation.fixed import Fixed, NoSpeculation, SmartSpec
from simulator.policies.speculation.plan import Draft, Inner, SpeculationPolicy, View, chain

__all__ = [
    "AcceptanceLaw",
    "Beta",
    "BigLittle",
    "Constant",
    "Curve",
    "Draft",
    "DraftModel",
    "DraftSource",
    "EarlyExit",
    "Fixed",
    "Hierarchical",
    "Inner",
    "NGram",
    "NoSpeculation",
    "PredictionHead",
    "SmartSpec",
    "SpeculationPolicy",
    "View",
    "chain",
]
