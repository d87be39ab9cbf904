"""A whole serving run: requests arrive, are routed, and replicas serve them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from heapq import heapreplace

from simpy.events import Event

from simulator.engine.adapters import AdapterSetup
from simulator.engine.autoscaling import autoscale
from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.cluster_spec import Load, PrefillPool, ReplicaSpec
from simulator.engine.control import Control
from simulator.engine.device_split import SplitDevice
from simulator.engine.dispatch import Dispatcher
from simulator.engine.failures import break_and_repair
from simulator.engine.finetuning import FinetuningPool
from simulator.engine.fleet import Fleet
from simulator.engine.handoff import Handoff
from simulator.engine.kv_loading import TierSetup
from simulator.engine.migration import Migrations
from simulator.engine.pairs import Pairing, Pairs
from simulator.engine.power import PowerControl
from simulator.engine.recorder import Recorder
from simulator.engine.replica import Replica
from simulator.engine.roles import Roles
from simulator.engine.sequences import SequenceReader
from simulator.engine.tiers import Tier, Tiers
from simulator.errors import InputError
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.routing import Router
from simulator.policies.sequence import Sequence
from simulator.workloads.requests import RequestSource


class Cluster:
    """`replicas` equal replicas behind a router. `run` serves a source to its end.

    With a `prefill` pool the router chooses among its replicas, and the others only decode. With `control`, requests
    may be shed (`shed`), and replicas come, go and fail (`fleet`; not together with a prefill pool). A
    `finetuning` pool serves nothing, and ends with the last request as fine-tuning on other replicas does. With
    `pairing` the router chooses among pairs of replicas.

    Several clusters can share one `clock`: each is then given its sequences by `submit`, tells `on_end` when one has
    ended (a shed one has no first token), and numbers its lanes from `first_lane`, so that no two are alike.
    """

    def __init__(
        self,
        spec: ReplicaSpec,
        *,
        replicas: int,
        router: Router,
        recorder: Recorder,
        load: Load | None = None,
        fast_forward: bool = True,
        skip_unservable: bool = False,
        on_progress: Callable[[int], None] | None = None,
        prefill: PrefillPool | None = None,
        control: Control | None = None,
        finetuning: FinetuningPool | None = None,
        pairing: Pairing | None = None,
        clock: Clock | None = None,
        first_lane: int = 0,
        on_end: Callable[[Sequence, float], None] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self._first_lane, self._on_end = first_lane, on_end
        self.recorder = recorder
        self.load = load or Load()
        self.spec = spec
        self.rejected: list[tuple[int, str]] = []
        self.shed: list[int] = []
        self.submitted = 0
        self._skip_unservable = skip_unservable
        self._on_progress = on_progress
        self._ingestion, self._frontend_seconds = spec.timer.overheads.ingestion, spec.timer.overheads.frontend
        self._control = control
        self._finetuning = finetuning
        routers = [router] if prefill is None else [router, prefill.router]
        self._tell: list[Callable[[Sequence], None]] = [
            told for r in routers if (told := getattr(r, "finished", None)) is not None
        ]
        self._open, self._exhausted = 0, False
        self._done = self.clock.event()
        self._source: Iterator[Sequence] = iter(())
        self._busy_sessions: dict[int, deque[tuple[Sequence, float]]] = {}
        self._think: dict[int, float] = {}
        self._fast_forward = fast_forward and pairing is None
        scaling = None if control is None else control.autoscaling
        most = replicas if scaling is None else max(replicas, scaling.most)
        setup = (prefill.spec if prefill is not None else spec).tiers
        self.tiers = _tiers(setup, most if prefill is None else prefill.replicas)
        self.handoff: Handoff | None = None
        if prefill is None:
            stay = None if pairing is None else self._computed
            self.replicas = self.entrance = [self._replica(spec, n, stay, place=n) for n in range(most)]
        else:
            self._fast_forward = fast_forward and prefill.transfer is not None
            self._build_apart(spec, replicas, prefill)
        self.fleet = Fleet(self.clock, self.entrance, replicas if prefill is None else prefill.replicas)
        admission = None if control is None else control.admission
        self.dispatcher = Dispatcher(self.fleet, router, admission, self._shed)
        self.roles = self._roles(control)
        self.pairs = self._pairs(pairing)
        migration = None if control is None else control.migration
        self.migrations = None if migration is None else Migrations(self.clock, migration, self.replicas)
        self.power: PowerControl | None = None
        self._frontends = [0.0] * len(self.entrance)
        self.capacity_tokens = _tokens_beside_adapters(self.replicas[0].kv, spec.adapters)
        self._prompt_tokens = self.entrance[0].kv.blocks * self.entrance[0].kv.block_tokens
        self.block_tokens = self.replicas[0].kv.block_tokens

    def _build_apart(self, spec: ReplicaSpec, replicas: int, prefill: PrefillPool) -> None:
        """Replicas that decode, those that compute prompts, and the way from these to those."""
        stay = self._computed if self._control is not None and self._control.roles is not None else None
        self.replicas = [self._replica(spec, number, stay) for number in range(replicas)]
        take = self._beside
        if prefill.transfer is not None and prefill.router is not None:
            self.handoff = Handoff(self.clock, prefill.transfer, prefill.router, self.replicas)
            take = stay or self.handoff.take
        self.entrance = [
            self._replica(prefill.spec, replicas + n, take, place=n, kv=None if self.handoff else self.replicas[n].kv)
            for n in range(prefill.replicas)
        ]
        if self.handoff is None:
            for one, other in zip(self.replicas, self.entrance, strict=True):
                one.neighbour, other.neighbour = other, one
                if prefill.split is not None:
                    SplitDevice(self.clock, prefill.split, other, one)

    def _roles(self, control: Control | None) -> Roles | None:
        """What changes the replicas' roles, None where they keep them."""
        if control is None or control.roles is None:
            return None
        assert self.handoff is not None
        found = Roles(self.clock, control.roles, self.dispatcher, self.handoff, self.entrance, self.replicas)
        self._tell.append(found.finished)
        return found

    def _pairs(self, pairing: Pairing | None) -> Pairs | None:
        """Replicas two and two, between which the router chooses, None where each is on its own."""
        if pairing is None:
            return None
        found = Pairs(self.clock, pairing, self.replicas)
        self.fleet.route_to(found.views)
        self._tell.append(found.finished)
        return found

    def _replica(
        self,
        spec: ReplicaSpec,
        number: int,
        on_prefilled: Callable[[Sequence, Replica], None] | None = None,
        *,
        place: int | None = None,
        kv: PagedKVCache | None = None,
    ) -> Replica:
        """One replica; `place` is its own among those that requests enter by, which have the cache tiers.

        `kv` is a cache that it shares with another.
        """
        setup = spec.tiers if place is not None else None
        return Replica(
            self.clock,
            number,
            first_lane=self._first_lane,
            kv=kv or spec.kv(),
            limits=spec.limits,
            policy=spec.policy,
            discipline=None if spec.discipline is None else spec.discipline(),
            timer=spec.timer,
            recorder=self.recorder,
            fast_forward=self._fast_forward,
            on_finish=self._finished,
            on_prefilled=on_prefilled,
            speculation=spec.speculation,
            swap=spec.swap,
            tiers=setup,
            adapters=spec.adapters,
            below=Tiers(self.tiers[place], setup.bytes_per_token) if place is not None and setup is not None else None,
            finetuning=None if spec.finetuning is None else spec.finetuning(),
        )

    @property
    def _never_rests(self) -> bool:
        """Whether something goes on without requests, so that the run has to be ended with the last."""
        return self._control is not None or self._finetuning is not None or self.spec.finetuning is not None

    @property
    def all_replicas(self) -> list[Replica]:
        """Decode replicas first, then those that compute prompts alone."""
        return self.replicas if self.entrance is self.replicas else [*self.replicas, *self.entrance]

    def _computed(self, sequence: Sequence, source: Replica) -> None:
        """A replica that may go on to decode has computed a prompt."""
        found = self.roles or self.pairs
        assert found is not None
        found.computed(sequence, source)

    def _beside(self, sequence: Sequence, source: Replica) -> None:
        """Let the replica on the other part of the same devices decode on; the cache stays where it is."""
        self.replicas[source.number - len(self.replicas)].welcome(sequence)

    def run(self, source: RequestSource) -> None:
        """Serve every request of the source; returns when the last has finished."""
        self._source = self._sequences(source)
        if self.load.concurrency is None:
            self.clock.process(self._arrivals())
        else:
            for _ in range(self.load.concurrency):
                self._next_client_request()
        self.start_control()
        if self._finetuning is not None:
            self._finetuning.start(self.clock, self.recorder)
        self.clock.run(self._done if self._never_rests else None)

    def submit(self, sequence: Sequence) -> None:
        """Take in a sequence now, from whoever shares the clock; its `arrival` is set already."""
        self._open += 1
        seen = self.clock.at(self._ready(self.clock.now), ARRIVAL)
        assert seen.callbacks is not None
        seen.callbacks.append(lambda _: self._submit(sequence))

    @property
    def lanes_end(self) -> int:
        """One more than the highest number of a lane."""
        return self._first_lane + max((r.number + 1) * len(r.lanes) for r in self.all_replicas)

    def start_control(self) -> None:
        """Begin the processes that go on until the last request has ended, if there are any."""
        control = self._control
        if control is None:
            return
        if control.autoscaling is not None:
            self.clock.process(autoscale(self.fleet, control.autoscaling, lambda: len(self.dispatcher.held)))
        if control.failures is not None:
            for process in break_and_repair(self.fleet, control.failures, self.dispatcher.place_again):
                self.clock.process(process)
        if self.migrations is not None:
            self.clock.process(self.migrations.run())
        if control.power is not None:
            self.power = PowerControl(self.clock, control.power, self.all_replicas)
            self.clock.process(self.power.run())
        if self.roles is not None:
            self.clock.process(self.roles.run())

    def _arrivals(self) -> Generator[Event, None, None]:
        """Open loop: each request at its time."""
        clock = self.clock
        for sequence in self._source:
            yield clock.at(self._ready(sequence.arrival), ARRIVAL)
            if self.load.sessions_wait and sequence.session >= 0:
                self._submit_turn(sequence)
            else:
                self._submit(sequence)

    def _ready(self, arrival: float) -> float:
        """When the scheduler first sees a request: after its turn at the front end that is free first.

        Each replica brings a front end, which takes in one request after the other.
        """
        taken_in = max(arrival, self._frontends[0]) + self._frontend_seconds
        heapreplace(self._frontends, taken_in)
        return taken_in + self._ingestion

    def _submit(self, sequence: Sequence) -> None:
        self.submitted += 1
        if self._on_progress is not None and self.submitted % 512 == 0:
            self._on_progress(self.submitted)
        self.dispatcher.place(sequence)

    def _shed(self, sequence: Sequence) -> None:
        self.shed.append(sequence.index)
        self._finished(sequence, self.clock.now)

    def _submit_turn(self, sequence: Sequence) -> None:
        """Submit a session's turn now, or when the turn before it has finished."""
        queue = self._busy_sessions.get(sequence.session)
        if queue is None:
            self._busy_sessions[sequence.session] = deque()
            self._submit(sequence)
        else:
            queue.append((sequence, self._think.pop(sequence.index, 0.0)))

    def _finished(self, sequence: Sequence, time: float) -> None:
        if self.load.concurrency is not None:
            self._next_client_request()
        elif sequence.session in self._busy_sessions:
            queue = self._busy_sessions[sequence.session]
            if queue:
                self.clock.process(self._after_thinking(*queue.popleft()))
            else:
                del self._busy_sessions[sequence.session]
        for tell in self._tell:
            tell(sequence)
        if self._never_rests:
            self._close(sequence)
        if self._on_end is not None:
            self._on_end(sequence, time)

    def _close(self, sequence: Sequence) -> None:
        """A request has ended: its replica may be drained, and with the last one the run is over."""
        if sequence.replica >= 0 and self.entrance is self.replicas:
            self.fleet.finished(sequence.replica)
        self._open -= 1
        self._end_with_the_last()

    def _end_with_the_last(self) -> None:
        if self._exhausted and not self._open and not self._done.triggered:
            self._done.succeed()

    def _after_thinking(self, sequence: Sequence, think: float) -> Generator[Event, None, None]:
        sequence.arrival = self.clock.now + think
        if think:
            yield self.clock.at(sequence.arrival, ARRIVAL)
        yield self.clock.at(self._ready(sequence.arrival), ARRIVAL)
        self._submit(sequence)

    def _next_client_request(self) -> None:
        sequence = next(self._source, None)
        if sequence is not None:
            self.clock.process(self._after_thinking(sequence, 0.0))

    def _sequences(self, source: RequestSource) -> Iterator[Sequence]:
        """The source's requests one by one, without those that can never be served."""
        reader, index = SequenceReader(self.block_tokens, self.spec.timer.shared_prefix, self.spec.adapters), 0
        for chunk in source.chunks():
            for sequence in reader.of(chunk, index):
                if self.load.sessions_wait and chunk.think_s is not None:
                    self._think[sequence.index] = float(chunk.think_s[sequence.index - index])
                if self.holds(sequence):
                    self._open += 1
                    yield sequence
                else:
                    self._refuse(sequence)
            index += len(chunk)
        self._exhausted = True
        self._end_with_the_last()

    def holds(self, sequence: Sequence) -> bool:
        """Whether a replica can ever hold the sequence."""
        return sequence.final_tokens <= self.capacity_tokens and sequence.prompt_tokens <= self._prompt_tokens

    def lack(self, sequence: Sequence) -> str:
        """What a sequence that no replica can hold needs, and what there is."""
        return (
            f"{sequence.final_tokens:,} tokens of KV cache "
            f"({sequence.prompt_tokens:,} prompt + {sequence.output_tokens:,} output), "
            f"and a replica holds {min(self.capacity_tokens, self._prompt_tokens):,}"
        )

    def _refuse(self, sequence: Sequence) -> None:
        reason = f"request {sequence.index} needs {self.lack(sequence)}"
        if not self._skip_unservable:
            raise InputError(f"{reason}: use more or larger devices a replica, or --set load.on_error=skip")
        self.rejected.append((sequence.index, reason))


def _tokens_beside_adapters(kv: PagedKVCache, adapters: AdapterSetup | None) -> int:
    """Tokens that one sequence can have in the KV pool, its adapter being there too."""
    return (kv.blocks - (0 if adapters is None else adapters.most_blocks)) * kv.block_tokens


def _tiers(setup: TierSetup | None, replicas: int) -> list[list[Tier]]:
    """The cache tiers of each replica; those that are shared are the same object in all."""
    if setup is None:
        return []
    shared = {config.name: Tier(config) for config in setup.tiers if config.shared}
    return [[shared.get(config.name) or Tier(config) for config in setup.tiers] for _ in range(replicas)]
