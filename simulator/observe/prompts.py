"""Prompts of a given length made of seeded words, sharing the prefixes that a trace says they share."""

from __future__ import annotations

import numpy as np

from simulator.workloads.requests import PrefixHashes

# Short and common, so that byte-pair vocabularies have each, after a blank, as one token.
_COMMON = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were her all she there would their we him been has when who will more no if out so said what up its "
    "about into than them can only other new some could time these two may then do first any my now such like our "
    "over man me even most made after also did many before must through back years where much your way well down "
    "should because each just those people how too little state good very make world still own see men work long "
    "get here between both life being under never day same another know while last might us great old year off "
    "come since against go came right used take three"
)
WORDS = tuple(_COMMON.split(" "))
_OWN, _SHARED = 0, 1


def prompt_text(seed: int, index: int, words: int, prefix: PrefixHashes | None = None) -> str:
    """The prompt of request `index`, so many words long; blocks of equal ids are equal text."""
    parts: list[str] = []
    if prefix is not None:
        size = prefix.block_tokens
        for number in prefix.of(index).tolist()[: -(-words // size)]:
            parts += _words((seed, _SHARED, number % 2**64), size)
    parts = parts[:words]
    return " ".join(parts + _words((seed, _OWN, index), words - len(parts)))


def _words(key: tuple[int, ...], count: int) -> list[str]:
    if not count:
        return []
    return [WORDS[i] for i in np.random.default_rng(key).integers(0, len(WORDS), count).tolist()]
