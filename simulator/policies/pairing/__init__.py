"""Pairing policies: which of two replicas that keep each other's KV caches computes prompts, and which decodes what.

A pairing policy is any object with `computes(pair) -> int` and `moves(pair) -> list[int]`.
"""

from simulator.policies.pairing.accellm import AcceLLM
from simulator.policies.pairing.views import Decoding, PairingPolicy, PairView

__all__ = ["AcceLLM", "Decoding", "PairView", "PairingPolicy"]
