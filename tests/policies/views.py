"""A replica as routers and autoscalers see it, with every figure given."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.policies.sequence import Sequence


@dataclass
class View:
    number: int = 0
    outstanding: int = 0
    queued: int = 0
    decoding: int = 0
    prompt_backlog: int = 0
    kv_utilisation: float = 0.0
    cached: int = 0
    ttft: float = 0.0
    adapters: tuple[int, ...] = ()

    def cached_tokens(self, sequence: Sequence) -> int:
        return self.cached

    def has_adapter(self, adapter: int) -> bool:
        return adapter in self.adapters

    def predicted_ttft(self, sequence: Sequence) -> float:
        return self.ttft
