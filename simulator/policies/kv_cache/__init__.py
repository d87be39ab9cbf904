"""KV caches: which tokens' keys and values are kept, in which blocks, and which are given up first."""

from simulator.policies.kv_cache.paged import PagedKVCache

__all__ = ["PagedKVCache"]
