"""From the fields of a service to what a stage does."""

from __future__ import annotations

import numpy as np

from simulator.assembly.pipeline.models import batch_cost, crossing_bytes, weight_bytes
from simulator.assembly.pipeline.quantities import amount_of, draws_of
from simulator.assembly.pipeline.resources import Places
from simulator.assembly.pipeline.searching import late_interaction, searching
from simulator.assembly.pools import pools_of
from simulator.engine.pipeline.resources import Resource, Shared
from simulator.engine.pipeline.service import Service, Step
from simulator.engine.pipeline.services.adaptive import Adaptive, Option
from simulator.engine.pipeline.services.cold_starts import ColdStarts
from simulator.engine.pipeline.services.drawn import Drawn, Streamed
from simulator.engine.pipeline.services.entanglement import Entanglement, RepeaterChain
from simulator.engine.pipeline.services.generation import Generation
from simulator.engine.pipeline.services.model import BatchCost, LaneRun, ModelRun
from simulator.engine.pipeline.services.transfer import Transfer
from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.policies.registry import build_policy
from simulator.scenario import scenario_from
from simulator.specs.pipeline.services import (
    AdaptiveSpec,
    AnyService,
    CrossingSpec,
    EntanglementSpec,
    FunctionSpec,
    GenerationSpec,
    LateInteractionSpec,
    ModelSpec,
    PlainService,
    SearchSpec,
    StreamSpec,
    TimeSpec,
    TransferSpec,
)


class ServiceBuilder:
    """Builds the services of a pipeline's stages on its places; random numbers come by a stage's name."""

    def __init__(self, places: Places, seed: int) -> None:
        self._places, self._seed = places, seed
        self._laned: set[str] = set()

    def build(self, spec: AnyService, name: str) -> Service:
        """The service of the stage or supply `name`. Raises `InputError` naming the field that is wrong."""
        try:
            return self._build(spec, name)
        except InputError as error:
            raise InputError(f"{name}.service: {error.message}") from None

    def _build(self, spec: AnyService, name: str) -> Service:  # noqa: PLR0911 - one line a kind
        if isinstance(spec, TimeSpec):
            return Drawn(draws_of(spec.ms, self._rng(name), 1e-3), self._device(spec.device))
        if isinstance(spec, StreamSpec):
            rate, overhead = spec.gb_per_s * 1e9, spec.overhead_ms * 1e-3
            return Streamed(amount_of(spec.bytes), rate, overhead, self._device(spec.device))
        if isinstance(spec, ModelSpec):
            return self._model(spec)
        if isinstance(spec, TransferSpec):
            return self._transfer(spec, name)
        if isinstance(spec, SearchSpec):
            return searching(spec, self._places)
        if isinstance(spec, LateInteractionSpec):
            return late_interaction(spec, self._places)
        if isinstance(spec, EntanglementSpec):
            return Entanglement(_chain(spec), self._rng(name), self._device(spec.device))
        if isinstance(spec, GenerationSpec):
            return self._generation(spec)
        if isinstance(spec, AdaptiveSpec):
            return self._adaptive(spec, name)
        return self._function(spec, name)

    def _model(self, spec: ModelSpec) -> ModelRun | LaneRun:
        placed = self._places.device(spec.device)
        cost, steps = BatchCost(batch_cost(spec, placed)), amount_of(spec.steps)
        if placed.spec.sharing != "lanes":
            return ModelRun(cost, steps, placed.resource)
        if spec.device in self._laned:
            raise InputError(f"the lanes of {spec.device} run another model: give this one a device of its own")
        self._laned.add(spec.device)
        assert isinstance(placed.resource, Shared)
        return LaneRun(cost, steps, placed.resource)

    def _transfer(self, spec: TransferSpec, name: str) -> Transfer:
        wire = self._places.link(spec.link)
        size = crossing_bytes(spec.bytes) if isinstance(spec.bytes, CrossingSpec) else spec.bytes
        return Transfer(wire.resource, amount_of(size), wire.latency, wire.loss, self._rng(name))

    def _generation(self, spec: GenerationSpec) -> Generation:
        """The language model on the whole device, under the usual engine of served models."""
        placed = self._places.device(spec.device)
        if placed.spec.device is None or placed.spec.servers > 1:
            raise InputError(f"a language model needs a whole device with a datasheet, which {spec.device} is not")
        # a served model has a load, which is never read here
        given = {"model": spec.model, "device": placed.spec.device, "load": {"trace": "none"}}
        timer = pools_of(scenario_from(given), None, None)[0].deployment.timer
        return Generation(timer, amount_of(spec.prompt_tokens), amount_of(spec.output_tokens), placed.resource)

    def _adaptive(self, spec: AdaptiveSpec, name: str) -> Adaptive:
        options = [
            Option(
                label,
                self._build(known.service, f"{name}/{label}"),
                known.accuracy,
                self._loading(known.service, spec.swap_from, label),
            )
            for label, known in spec.configurations.items()
        ]
        return Adaptive(options, build_policy("configuration", spec.choose.policy, spec.choose.options))

    def _loading(self, spec: PlainService, store: str | None, label: str) -> tuple[Step, ...]:
        """Reading a model's weights from a store, in one piece."""
        if store is None:
            return ()
        if not isinstance(spec, ModelSpec):
            raise InputError(f"swap_from is for configurations of kind model, which {label} is not")
        place = self._places.store(store)
        return (Step(place.drive.occupied(1, weight_bytes(spec)), place.resource), Step(place.drive.delay(1)))

    def _function(self, spec: FunctionSpec, name: str) -> ColdStarts:
        phases = [draws_of(phase, self._rng(f"{name}/{label}"), 1e-3) for label, phase in spec.cold_ms.items()]
        return ColdStarts(self._build(spec.call, name), phases, spec.keep_alive_s)

    def _device(self, name: str | None) -> Resource | None:
        if name is None:
            return None
        placed = self._places.device(name)
        if placed.spec.sharing == "lanes":
            raise InputError(f"device {name} has lanes, which are for one model: give this service another device")
        return placed.resource

    def _rng(self, name: str) -> np.random.Generator:
        return stream(self._seed, f"pipeline/service/{name}")


def _chain(spec: EntanglementSpec) -> RepeaterChain:
    return RepeaterChain(
        spec.attempt_us * 1e-6,
        spec.success,
        spec.links,
        spec.memories,
        spec.swap,
        spec.signal_us * 1e-6,
        float("inf") if spec.keeps_ms is None else spec.keeps_ms * 1e-3,
    )
