"""A device whose split follows the load: paces by closed forms, and no unit, byte or request lost or used twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.assembly.pools import pools_of
from simulator.assembly.splitting import attainable_bandwidth
from simulator.engine.chunks import NO_CHUNKS, Chunks
from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import PrefillPool, ReplicaSpec
from simulator.engine.device_split import Split, SplitDevice, SplitRecord
from simulator.engine.part_timing import PartTiming, StepWork
from simulator.engine.recorder import Recorder
from simulator.errors import InputError
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.policies.batching import VllmV1
from simulator.policies.batching.state import Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.routing import RoundRobin
from simulator.policies.splitting import DeviceView, Fixed, SplitPolicy
from simulator.scenario import scenario_from
from tests.builders import FixedTimer, Rows, assert_conserved, rows
from tests.engine.test_fast_forward import workloads
from tests.engine.test_partition import SCENARIO

QUARTERS = (0.25, 0.5, 0.75)


@dataclass
class Linear:
    """A step that takes a second on the whole device, `drawing` a share of its bandwidth, and 1 / units on a part."""

    drawing: float = 0.0

    def alone(self, units: float) -> float:
        return 1.0 / units

    def drawn(self, units: float) -> float:
        return self.drawing

    def beside(self, units: float, drawn: float) -> float:
        return max(1.0, self.drawing + drawn) / units


@dataclass
class Wavering:
    """Takes the given splits in turn."""

    turns: list[float]
    asked: int = field(default=0)

    def units(self, device: DeviceView) -> float:
        self.asked += 1
        return self.turns[self.asked % len(self.turns)]


def serve(
    source: Rows,
    cost: Callable[[StepWork], Linear] = lambda _: Linear(),
    policy: Callable[[], SplitPolicy] = Fixed,
    *,
    alone_on_part: bool = False,
    initial: float = 0.5,
    blocks: int = 60,
    seqs: int = 4,
) -> tuple[Cluster, Recorder, SplitRecord]:
    timer: Any = FixedTimer(1.0)
    spec = ReplicaSpec(timer, Limits(seqs, 32), lambda: PagedKVCache(blocks=blocks, block_tokens=4), VllmV1)
    record = SplitRecord()
    split = Split(cost, policy, QUARTERS, initial, record, alone_on_part)
    recorder = Recorder()
    cluster = Cluster(
        spec,
        replicas=1,
        router=RoundRobin(),
        recorder=recorder,
        skip_unservable=True,
        prefill=PrefillPool(spec, 1, None, None, split),
    )
    cluster.run(source)
    return cluster, recorder, record


def test_a_step_slows_down_while_the_other_phase_works() -> None:
    """The first decode step does half of its work alone by 1.5 s, the rest at half the pace; the second prompt, too."""
    _, recorder, record = serve(rows([0.0, 1.5], [8, 8], [2, 2]))
    c = recorder.requests()
    assert c["first_token_s"].tolist() == pytest.approx([1.0, 3.0])
    assert c["finish_s"].tolist() == pytest.approx([2.5, 4.0])
    assert record.both_seconds == pytest.approx(1.0)
    assert record.figures()["mean_prompt_units"] == pytest.approx(0.5)
    assert record.columns()["units"].tolist() == pytest.approx([1.0, 1.0 / 1.5, 1.0 / 1.5, 1.0])


def test_a_phase_keeps_to_its_part_where_it_must() -> None:
    _, recorder, _ = serve(rows([0.0], [8], [2]), alone_on_part=True, initial=0.25)
    c = recorder.requests()
    assert c["first_token_s"].tolist() == pytest.approx([4.0])
    assert c["finish_s"].tolist() == pytest.approx([4.0 + 1 / 0.75])


def test_bandwidth_is_contended_only_while_both_draw() -> None:
    """Steps that draw 0.75 each take half as long again side by side; alone they take their second."""
    _, recorder, _ = serve(rows([0.0, 1.5], [8, 8], [2, 2]), lambda _: Linear(0.75))
    c = recorder.requests()
    assert c["finish_s"][0] == pytest.approx(1.5 + 0.5 * 2 * 1.5)
    assert c["first_token_s"][1] == pytest.approx(3.0 + 0.5)


def test_a_step_ends_under_the_split_it_began_with() -> None:
    """Of two prompts one after the other beside one long step of decoding, the second has the split decided then."""

    def cost(work: StepWork) -> Linear:
        return Linear() if work.chunks.tokens else Long()

    class Long(Linear):
        def alone(self, units: float) -> float:
            return 20.0 / units

        def beside(self, units: float, drawn: float) -> float:
            return 20.0 / units

    turns = [0.75, 0.25, 0.5]
    _, recorder, record = serve(rows([0.0, 1.0, 1.1], [8, 8, 30], [2, 2, 2]), cost, lambda: Wavering(turns))
    units = record.columns()["units"].tolist()
    # The step of decoding keeps the 0.75 of its first meeting; the next prompt may have 0.5, of which 0.25 are left.
    assert units[1:3] == pytest.approx([0.25, 0.25])
    assert recorder.requests()["first_token_s"][1:].tolist() == pytest.approx([5.0, 9.0])


@settings(max_examples=60, deadline=None)
@given(
    source=workloads(),
    turns=st.lists(st.sampled_from(QUARTERS), min_size=1, max_size=5),
    drawing=st.sampled_from([0.0, 0.4, 0.8]),
    alone_on_part=st.booleans(),
    blocks=st.integers(25, 60) | st.just(1000),
    seqs=st.integers(1, 6),
)
def test_nothing_is_lost_and_no_unit_is_used_twice(
    source: Rows, turns: list[float], drawing: float, alone_on_part: bool, blocks: int, seqs: int
) -> None:
    """Units held by both phases are never more than there are, and every step gets the work that it is made of."""
    pace = SplitDevice.pace

    def watched(self: SplitDevice) -> None:
        pace(self)
        steps = [part.step for part in (self._prompts, self._decoding) if part.step is not None]
        assert sum(step.units for step in steps) <= 1.0 + 1e-9

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SplitDevice, "pace", watched)
        cluster, recorder, record = serve(
            source,
            lambda _: Linear(drawing),
            lambda: Wavering(turns),
            alone_on_part=alone_on_part,
            blocks=blocks,
            seqs=seqs,
        )
    assert_conserved(cluster, recorder, source)
    rows = recorder.iterations()
    lengths = rows["end_s"] - rows["start_s"]
    work = record.columns()["units"] * lengths
    most = max(1.0, 2 * drawing)  # unit-seconds of a step that is held up from its begin to its end
    assert np.all(work >= 1.0 - 1e-6)
    assert np.all(work <= most + 1e-6)
    # Each phase runs one step at a time.
    for phase in (rows["replica"] == 0, rows["replica"] == 1):
        assert np.all(rows["start_s"][phase][1:] >= rows["end_s"][phase][:-1] - 1e-9)


def dynamic(policy: str, **split: Any) -> dict[str, Any]:
    part = {"prefill_units": 0.4, "split": {"policy": policy, **split}}
    return SCENARIO | {"partition": part, "objectives": {"ttft_ms": 300, "tpot_ms": 20}}


@dataclass(frozen=True)
class Work:
    decoding: int
    contexts: list[tuple[int, int]]
    chunks: Chunks


def test_a_step_beside_nothing_is_that_of_the_part() -> None:
    """The whole device is the device; fewer units never help; a step beside traffic is never quicker."""
    pool = pools_of(scenario_from(dynamic("fixed")))[0]
    whole = pools_of(scenario_from(SCENARIO | {"partition": None}))[0].deployment
    assert pool.timers is not None
    attainable = attainable_bandwidth(whole.law)
    assert 0.5 < attainable / whole.device.memory_bandwidth <= 1.0
    timing = PartTiming(pool.timers, 0.5, attainable, 0.1)
    prompt = timing.cost(Work(0, [], whole.timer.chunks([(0, 2000)])))
    decode = timing.cost(Work(32, [(32 * 1000, 32)], NO_CHUNKS))
    assert prompt.alone(1.0) == whole.timer.step_seconds(0, [], whole.timer.chunks([(0, 2000)]))
    assert decode.alone(1.0) == whole.timer.decode_seconds(32, [(32 * 1000, 32)], 1)[0]
    for step in (prompt, decode):
        times = [step.alone(units) for units in (0.2, 0.4, 0.6, 0.8, 1.0)]
        assert times == sorted(times, reverse=True)
        assert step.beside(0.6, 0.0) == step.alone(0.6)
        assert step.alone(0.6) <= step.beside(0.6, 0.5) <= step.beside(0.6, 0.9)
        assert 0.0 < step.drawn(0.6) < 1.05
    # Returns diminish where memory bounds, and hardly where arithmetic does.
    assert decode.alone(0.6) < 1.1 * decode.alone(1.0)
    assert prompt.alone(0.5) > 1.6 * prompt.alone(1.0)
    assert decode.drawn(0.6) > 3 * prompt.drawn(0.4)


@dataclass(frozen=True)
class Streaming:
    """Times a step that moves `decoding` thousandths of the second that it takes by itself, and computes the rest."""

    bandwidth: float
    stages: tuple[()] = ()

    def step_seconds(self, decoding: int, contexts: object, chunks: Chunks) -> float:
        return decoding / 1e3 / self.bandwidth + 1.0 - decoding / 1e3

    def own_tokens(self, decoding: int, tokens: int, sequences: int) -> int:
        return decoding + tokens

    def attention_work(self, contexts: object, steps: int, chunks: Chunks) -> tuple[float, float]:
        return 0.0, float(contexts[0][0])  # type: ignore[index]


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_two_streams_never_draw_more_than_there_is(x: int, y: int) -> None:
    """Of a bandwidth of 1,000 bytes/s; together (x + y) / (1 + x y)."""
    timer: Any = lambda units, bandwidth: Streaming(bandwidth)  # noqa: E731
    timing = PartTiming(timer, 0.1, 1000.0, 1e-6)
    one, other = timing.cost(Work(x, [(x, 0)], NO_CHUNKS)), timing.cost(Work(y, [(y, 0)], NO_CHUNKS))
    first = x / 1e3 / one.beside(0.5, other.drawn(0.5))
    second = y / 1e3 / other.beside(0.5, one.drawn(0.5))
    assert first + second == pytest.approx((x + y) / 1e3 / (1 + x * y / 1e6), rel=1e-4)
    assert first + second <= 1.0 + 1e-4


def test_devices_are_paid_and_powered_once() -> None:
    summary = run(scenario_from(dynamic("proactive"))).summary
    whole = device("nvidia-a100-sxm-80gb")
    assert whole.price is not None
    assert summary["deployment"]["devices"] == 2
    assert summary["cost"]["total_usd"] == pytest.approx(2 * whole.price * summary["makespan_s"] / 3600)
    assert 2 * whole.idle_power < summary["energy"]["mean_power_w"] <= 2 * whole.tdp
    used = summary["utilisation"]
    assert 0.0 < used["mfu"] < used["mfu_while_busy"] < 1.0
    assert 0.0 < used["memory_bandwidth"] < used["memory_bandwidth_while_busy"] < 1.0
    assert 0.1 <= summary["split"]["mean_prompt_units"] <= 0.9


def test_a_prompt_alone_has_the_whole_device() -> None:
    """One request at a time is served as if nothing were split; on its part it takes longer."""
    load = {"generator": SCENARIO["load"]["generator"] | {"requests": 5}, "concurrency": 1}
    one = {"load": load, "replicas": 1}
    split, whole = (
        run(scenario_from(dynamic("fixed") | one | change)).request_columns for change in ({}, {"partition": None})
    )
    part = run(scenario_from(dynamic("fixed", alone="part") | one)).request_columns
    assert split["first_token_s"][0] == pytest.approx(whole["first_token_s"][0], rel=1e-9)
    assert split["finish_s"][0] == pytest.approx(whole["finish_s"][0], rel=1e-9)
    assert part["first_token_s"][0] > 1.5 * whole["first_token_s"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": {"policy": "feedbak"}}, "did you mean feedback"),
        ({"split": {"options": {"speed": 2}}}, "split policy fixed takes no options"),
        ({"split": {"policy": "feedback", "options": {"interval_s": 0}}}, "interval_s"),
        ({"split": {}, "prefill_traffic": 0.3}, "leave out prefill_traffic"),
        ({"split": {}, "prefill_units": 0.45}, "no multiple of split.step"),
    ],
)
def test_wrong_splits_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(scenario_from(SCENARIO | {"partition": {"prefill_units": 0.4} | change}))


@pytest.mark.parametrize("change", [{"parallel": {"pipeline": 2}}, {"kv_cache": {"tiers": [{"name": "host"}]}}])
def test_what_is_not_modelled_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"partition\.split fixed beside"):
        run(scenario_from(dynamic("fixed") | change))
