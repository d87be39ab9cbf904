"""What a verification leaves: how many tokens each sequence emits, and what its drafter keeps."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.engine.speculation import Decoding, Speculation
from simulator.policies.sequence import Sequence
from simulator.policies.speculation.acceptance import verify
from simulator.policies.speculation.advancing import AdvancingSet
from simulator.policies.speculation.plan import Draft


@dataclass(slots=True)
class Tally:
    """Tokens of one iteration: examined, accepted and emitted, and drafts written ahead in vain."""

    examined: int = 0
    accepted: int = 0
    emitted: int = 0
    wasted: int = 0


def advance(speculation: Speculation, advancing: AdvancingSet, decoding: Decoding) -> Tally:
    """Advance every sequence by its accepted tokens and one more, cut at the wanted output."""
    tally = Tally()
    for sequence, draft in zip(decoding.sequences, decoding.drafts, strict=True):
        accepted = 0
        if draft.widths:
            outcome = verify(sequence, draft, speculation.acceptance, speculation.draws)
            accepted = outcome.accepted
            tally.accepted += accepted
            tally.examined += outcome.examined
        if speculation.asynchronous and not _ahead_is_right(speculation, sequence, draft, accepted):
            advancing.ready.pop(sequence, None)
            if speculation.in_flight == 1:
                tally.wasted += draft.nodes
        elif speculation.asynchronous:
            advancing.ready[sequence] = draft.depth
        emitted = min(accepted + 1, sequence.remaining_output)
        tally.emitted += emitted
        _move(advancing, sequence, draft, emitted)
    return tally


def _ahead_is_right(speculation: Speculation, sequence: Sequence, draft: Draft, accepted: int) -> bool:
    """Whether what was written ahead goes on from here: all was accepted, and the token after it guessed too."""
    position = sequence.generated + draft.depth
    if accepted < draft.depth or position >= sequence.output_tokens:
        return False
    return bool(speculation.draws.of(sequence)[position] < speculation.acceptance.rate(sequence, 1))


def _move(advancing: AdvancingSet, sequence: Sequence, draft: Draft, emitted: int) -> None:
    """Count the emitted tokens; the drafter keeps what it wrote of them, all but the last of its own draft."""
    written = sequence.computed + draft.depth if draft.widths else advancing.drafter_cached[sequence]
    sequence.computed += emitted
    sequence.generated += emitted
    advancing.drafter_cached[sequence] = min(written, sequence.computed)
