"""Fields of a scenario that name the policies of batching, queueing, routing and execution."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from simulator.specs.part import Part


class BatchingSpec(Part):
    """The batching policy by name or `module:Class`, its options, and the bounds of one iteration."""

    policy: str = "vllm-v1"
    max_num_seqs: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """Sequences that a replica runs at once, at most."""
    max_num_batched_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 8192
    """Tokens that one iteration computes, at most."""
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _room_for_all(self) -> BatchingSpec:
        if self.policy == "vllm-v1" and self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError(
                f"max_num_batched_tokens {self.max_num_batched_tokens} is less than max_num_seqs {self.max_num_seqs}: "
                "raise it, since every decoding sequence takes one token"
            )
        return self


class ExecutionSpec(Part):
    """How operators of one iteration share a device, by name or `module:Class`, and its options."""

    policy: str = "sequential"
    options: dict[str, Any] = Field(default_factory=dict)


class QueueSpec(Part):
    """The discipline of each replica's queue by name or `module:Class`, and its options."""

    policy: str = "fcfs"
    options: dict[str, Any] = Field(default_factory=dict)


class RouterSpec(Part):
    """The router by name or `module:Class`, and its options."""

    policy: str = "round-robin"
    options: dict[str, Any] = Field(default_factory=dict)
