"""Seeded random streams by name: adding a consumer never shifts another's numbers."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, name: str, *keys: int) -> np.random.Generator:
    """The generator of `name` under `seed`: a child of the seed's sequence, keyed by the name and by `keys`, from 0."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()), *keys)))
