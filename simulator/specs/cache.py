"""Fields of a scenario that describe the KV cache and the tiers below it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Part, Positive


class EncodingSpec(Part):
    """A compressed form of stored keys and values: how many times smaller, and how fast it is decoded.

    `decode_gb_s` counts what comes out, in GB/s.
    """

    ratio: Annotated[float, Field(ge=1, le=1000)]
    """How many times smaller it is."""
    decode_gb_s: Positive = 100.0


class TierSpec(Part):
    """A place below device memory for cached keys and values, as one replica sees it, or all if `shared`.

    "host", "nvme" and "remote" have usual bandwidths and latencies, "host" also a capacity; "remote" is shared.
    `eviction` is a policy by name or `module:Class`. `compression` lists encodings, finest first, all of which are
    stored; reads of about `piece_tokens` tokens each take the finest that keeps `deadline_ms`, or the quickest.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    capacity_gb: Positive | None = None
    """What it holds; required, but for host, which by default has the replica's share of host memory."""
    bandwidth_gb_s: Positive | None = None
    """Rate of reading, and of writing where `write_bandwidth_gb_s` is not given."""
    write_bandwidth_gb_s: Positive | None = None
    """Rate of writing."""
    latency_us: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Time of each read and write besides the bytes."""
    eviction: str = "lru"
    compression: tuple[EncodingSpec, ...] = ()
    piece_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1536
    deadline_ms: Positive | None = None
    write_buffer_gb: Positive = 4.0
    """What may wait to be written before evicted blocks are dropped."""
    shared: bool | None = None


class SwapSpec(Part):
    """Preempted sequences are copied to host memory and back instead of being computed again.

    Host memory takes `capacity_gb` of a replica's cache, by default 4 GiB a device as vLLM's `--swap-space`; when it is
    full, sequences are recomputed. A device copies over `link` (its host link by default) in calls of up to
    `group_blocks` consecutive blocks of one layer's keys or values: 1 is vLLM V0's one `cudaMemcpyAsync` a block
    (`csrc/cache_kernels.cu`, `swap_blocks`). A call costs `call_us` microseconds besides the bytes, by default the
    link's latency; DualPath (arXiv:2602.21548, section 5.2) measured 5 to 7 us.

    Copies stop the engine, or go on beside it if `asynchronous`: blocks then count as used until they have left, unless
    a running sequence needs them, for which the iteration waits, and a sequence joins when its blocks are back. With
    `reuse` the host copy is kept until the request ends and only what is written later moves again; what a later turn
    of a conversation may find again is the matter of `tiers`.
    """

    capacity_gb: Positive | None = None
    link: str | None = None
    group_blocks: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    call_us: Annotated[float, Field(ge=0, le=1e6)] | None = None
    asynchronous: bool = False
    reuse: bool = False


class KVCacheSpec(Part):
    """The paged KV cache. `blocks` fixes its size as the engine's log states it; else it fills the memory.

    Of the blocks that vLLM reports, one is a placeholder that never holds a token. What is evicted goes down the
    `tiers`, nearest first, and is loaded again for requests that wait; with `layerwise`, while they are computed.
    `reuse` is the policy (by name or `module:Class`) that says what of a request is looked for there. With
    `keep_share`, a sequence that decodes keeps that share of its prompt's tokens, by score, and frees other blocks.
    With `swap` preempted sequences go to host memory; without it they are recomputed.
    """

    block_size: Annotated[int, Field(ge=1, le=65536)] = 16
    """Tokens a block."""
    memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of device memory that weights, activations and cache may fill."""
    blocks: Annotated[int, Field(ge=2, le=1_000_000_000)] | None = None
    prefix_caching: bool = True
    """Whether full blocks are found again by the hash of what they begin with."""
    keep_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    tiers: tuple[TierSpec, ...] = ()
    reuse: str = "prefix"
    reuse_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the reuse policy by name."""
    layerwise: bool = False
    loading: Literal["always", "when-faster"] = "always"
    """Load what a tier holds "always", or only "when-faster" than computing it."""
    swap: SwapSpec | None = None

    @model_validator(mode="after")
    def _tiers_of_use(self) -> KVCacheSpec:
        names = [tier.name for tier in self.tiers]
        if len(set(names)) < len(names):
            raise ValueError("tiers: two have the same name: give each its own")
        if self.keep_share is not None and self.prefix_caching:
            raise ValueError("keep_share frees blocks that prefixes share: set prefix_caching to false")
        if names and not self.prefix_caching:
            raise ValueError("tiers need prefix_caching: set it to true")
        if not names and self.reuse != "prefix":
            raise ValueError(f"reuse {self.reuse} needs tiers: add for example tiers: [{{name: host}}]")
        return self
