"""A cluster whose replicas are paired: the pairs, as a router sees them, and their figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.engine.clock import Clock
from simulator.engine.handoff import KVTransfer
from simulator.engine.pair import Pair
from simulator.engine.replica import Replica
from simulator.policies.pairing import PairingPolicy
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Pairing:
    """How replicas are paired: the policy of each pair, and what sending cached tokens to the other takes."""

    policy: Callable[[], PairingPolicy]
    transfer: KVTransfer


class PairedReplicas:
    """A pair as a router sees it (`ReplicaView`): one replica with the work and the memory of both."""

    def __init__(self, number: int, pair: Pair) -> None:
        self.number = number
        self._pair = pair
        self._replicas = [side.replica for side in pair.sides]

    @property
    def outstanding(self) -> int:
        return sum(r.outstanding for r in self._replicas)

    @property
    def queued(self) -> int:
        return sum(r.queued for r in self._replicas)

    @property
    def decoding(self) -> int:
        return sum(r.decoding for r in self._replicas)

    @property
    def prompt_backlog(self) -> int:
        return sum(r.prompt_backlog for r in self._replicas)

    @property
    def kv_utilisation(self) -> float:
        return sum(r.kv_utilisation for r in self._replicas) / len(self._replicas)

    def cached_tokens(self, sequence: Sequence) -> int:
        """Leading tokens that either replica has cached, the more of the two."""
        return max(r.cached_tokens(sequence) for r in self._replicas)

    def has_adapter(self, adapter: int) -> bool:
        """Whether both replicas hold an adapter."""
        return all(r.has_adapter(adapter) for r in self._replicas)

    def predicted_ttft(self, sequence: Sequence) -> float:
        """Seconds to the first token at the replica that computes prompts, or at the sooner one if none does."""
        computing = self._pair.computing
        able = self._replicas if computing is None else [self._replicas[computing]]
        return min(r.predicted_ttft(sequence) for r in able)

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence at the replica that computes prompts."""
        self._pair.submit(sequence)


class Pairs:
    """Neighbouring replicas, two and two: 0 and 1, 2 and 3, and so on."""

    def __init__(self, clock: Clock, rule: Pairing, replicas: list[Replica]) -> None:
        self.rule = rule
        twos = zip(replicas[::2], replicas[1::2], strict=True)
        self.pairs = [Pair(clock, rule.policy(), rule.transfer, list(two)) for two in twos]
        self.views = [PairedReplicas(number, pair) for number, pair in enumerate(self.pairs)]

    def computed(self, sequence: Sequence, source: Replica) -> None:
        """A replica has computed a prompt."""
        self.pairs[source.number // 2].computed(sequence, source)

    def finished(self, sequence: Sequence) -> None:
        """A request has ended, or was shed."""
        if sequence.replica >= 0:
            self.pairs[sequence.replica // 2].finished(sequence)

    def figures(self) -> dict[str, float]:
        """Turns at computing prompts, sequences that changed the replica without a transfer, and what copies cost."""
        sides = [side for pair in self.pairs for side in pair.sides]
        taken_over = sum(pair.taken_over for pair in self.pairs)
        return {
            "turns_at_prompts": sum(pair.turns for pair in self.pairs),
            "prefill_replica_s": float(sum(pair.computing_seconds for pair in self.pairs)),
            "taken_over": taken_over,
            "mean_wait_for_copy_ms": float(sum(pair.waited for pair in self.pairs)) / max(taken_over, 1) * 1e3,
            "redundant_tokens": sum(side.mirror.tokens for side in sides),
            "redundant_gb": sum(side.mirror.channel.bytes for side in sides) / 1e9,
            "link_busy_s": sum(side.mirror.channel.busy for side in sides),
            "copies_given_up": sum(side.copies.given_up for side in sides),
        }
