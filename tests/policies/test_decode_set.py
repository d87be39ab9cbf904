"""A sequence that leaves one decode set for another is forgotten by the first."""

from __future__ import annotations

from simulator.policies.decode_set import DecodeSet
from simulator.policies.sequence import Sequence
from simulator.workloads.span import Span


def test_a_sequence_that_joined_another_set_does_not_finish_here() -> None:
    first, second = (DecodeSet(4, (Span(),)) for _ in range(2))
    moving, staying = Sequence(0, 0.0, 4, 3), Sequence(1, 0.0, 4, 9)
    for sequence in (moving, staying):
        sequence.computed, sequence.generated = 4, 1
    first.join(moving)
    first.join(staying)
    first.leave(moving)
    second.join(moving)
    assert first.steps_to_change() == staying.remaining_output
    assert first.advance(2) == []
    assert second.advance(2) == [moving]
