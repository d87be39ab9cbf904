"""Kinds of service: models, searches, functions, supplies, audio, language models."""

import numpy as np
import pytest

from simulator.engine.clock import Clock
from simulator.engine.pipeline.rates import Steady
from simulator.engine.pipeline.resources import Queued
from simulator.engine.pipeline.services.search import Searching, Store
from simulator.hardware.drives import Drive
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.vector_search import graph_on_drive, ivf, posting_lists
from tests.pipelines.running import constant, covers, exponential, poisson, run

ONE = {"arrivals": {"process": "recorded", "times_s": [0.0]}, "to": "a"}


def test_a_model_takes_what_its_batch_takes_and_draws_its_energy():
    latency = infer(InferenceScenario(model="resnet-18", device="nvidia-l4-24gb", batch=4))
    four = {"arrivals": {"process": "recorded", "times_s": [0.0] * 4}, "to": "a"}
    result = run(
        sources={"s": four},
        stages={
            "a": {
                "service": {"kind": "model", "model": "resnet-18", "device": "d"},
                "batch": {"size": 4, "timeout_ms": 1},
            }
        },
        devices={"d": {"device": "nvidia-l4-24gb"}},
    )
    assert result.outcome.makespan == pytest.approx(latency.seconds)
    assert result.summary["energy_j"] == pytest.approx(latency.joules)


def test_head_and_tail_of_a_cut_take_about_the_whole():
    def seconds(**cut):
        service = {"kind": "model", "model": "resnet-18", "device": "d", "runtime": "eager", **cut}
        result = run(
            sources={"s": ONE}, stages={"a": {"service": service}}, devices={"d": {"device": "nvidia-l4-24gb"}}
        )
        return result.outcome.makespan

    parts = seconds(cut="relu_6", side="head") + seconds(cut="relu_6", side="tail")
    assert parts == pytest.approx(seconds(), rel=0.02)


def test_a_part_of_a_device_is_slower():
    def seconds(servers):
        return run(
            sources={"s": ONE},
            stages={
                "a": {"service": {"kind": "search", "index": "flat", "vectors": 100_000, "dims": 128, "device": "d"}}
            },
            devices={"d": {"device": "intel-xeon-8168", "servers": servers}},
        ).outcome.makespan

    assert seconds(8) == pytest.approx(8 * seconds(1), rel=0.2)


def test_decoding_takes_bytes_over_bandwidth_on_parallel_workers():
    result = run(
        sources={"s": {"arrivals": {"process": "recorded", "times_s": [0.0] * 6}, "to": "a"}},
        stages={"a": {"service": {"kind": "stream", "bytes": 1e6, "gb_per_s": 0.1, "overhead_ms": 5}, "servers": 3}},
    )
    assert result.outcome.makespan == pytest.approx(2 * 0.015)


def test_rounds_of_reads_add_up_their_latency_and_posting_lists_have_one():
    clock = Clock()
    drive = Drive(100_000, 1e9, 100e-6, 8)
    store, device = Store(drive, Queued(clock, "ssd", Steady(1.0))), Queued(clock, "cpu", Steady(1.0))
    walk = Searching([(r, store) for r in graph_on_drive(10, 4, 64, 96, 32)], device, lambda op: 0.0)
    assert walk.alone(None, 0.0) == pytest.approx(10 * (100e-6 + 4 / 100_000))
    lists = Searching([(r, store) for r in posting_lists((), 16, 30, 96, 4)], device, lambda op: 0.0)
    # 16 reads at a depth of 8 are two in a row; 30 vectors of 388 bytes take longer to move than an operation
    assert lists.alone(None, 0.0) == pytest.approx(2 * 100e-6 + 16 * 30 * 388 / 1e9)


def test_an_inverted_file_computes_its_distances():
    search = ivf(1_000_000, 128, 1000, 10)
    flops = sum(float(np.asarray(op.flops())) for r in search for op in r.work)
    assert flops == pytest.approx(2 * 128 * (1000 + 10 * 1000))


def test_functions_start_cold_after_the_keep_alive():
    """Poisson calls that take no time: cold where the gap before is over the keep-alive, exp(-T / mean)."""
    service = {"kind": "function", "call": constant(0.001), "cold_ms": {"allocate": 3, "load": 2}, "keep_alive_s": 0.7}
    result = run(sources={"s": poisson(1, 4000, "a")}, stages={"a": {"service": service, "servers": None}})
    cold = [v.served > 4e-3 for v in result.outcome.visits]
    assert covers(cold, np.exp(-0.7))
    assert result.summary["stages"]["a"]["cold_starts"] == sum(cold)
    assert {round(v.served, 9) for v in result.outcome.visits} == {1e-6, round(5e-3 + 1e-6, 9)}


def test_work_done_ahead_is_an_inventory():
    """Base stock of S with exponential production and Poisson demand: who finds none is rho^S (Buzacott 1993)."""
    result = run(
        sources={"s": poisson(70, 16_000, "a")},
        stages={"a": {"service": constant(0), "servers": None, "takes": "made"}},
        supplies={"made": {"service": exponential(10), "capacity": 5, "initial": 5}},
    )
    visits = sorted(result.outcome.visits, key=lambda v: v.entered)
    assert covers([v.ended > v.entered for v in visits], 0.7**5)


def test_what_is_made_ahead_does_not_keep_for_ever():
    result = run(
        sources={"s": {"arrivals": {"process": "recorded", "times_s": [10.2]}, "to": "a"}},
        stages={"a": {"service": constant(1), "takes": "pair"}},
        supplies={"pair": {"service": constant(400), "capacity": 1, "lifetime_s": 0.6}},
    )
    # made at 0.4, 1.4, 2.4, ... and thrown away 0.6 s later
    assert result.summary["supplies"]["pair"]["expired"] == 10
    assert result.outcome.makespan == pytest.approx(10.401)


def test_audio_waits_for_its_chunk_and_for_what_follows_it():
    result = run(
        sources={"s": {"arrivals": {"process": "chunks", "chunk_ms": 160, "lookahead_ms": 40}, "items": 50, "to": "a"}},
        stages={"a": {"service": constant(32)}},
    )
    assert result.summary["latency_ms"]["mean"] == pytest.approx(160 + 40 + 32)
    assert result.summary["sources"]["s"]["real_time_factor"] == pytest.approx(0.2)


def test_a_language_model_takes_longer_for_more_tokens():
    def seconds(prompt, output):
        service = {"kind": "generation", "model": "meta-llama/Llama-3.2-1B", "device": "d",
                   "prompt_tokens": prompt, "output_tokens": "answer"}  # fmt: skip
        source = ONE | {"attributes": {"answer": output}}
        result = run(
            sources={"s": source}, stages={"a": {"service": service}}, devices={"d": {"device": "nvidia-l4-24gb"}}
        )
        return result.outcome.makespan

    first, ten, long = seconds(500, 1), seconds(500, 11), seconds(4000, 1)
    # a decode step reads the 2.5 GB of weights at 300 GB/s
    assert 2.4e9 / 300e9 < (ten - first) / 10 < 2 * 2.5e9 / 300e9
    assert long > 4 * first


def test_a_filter_looks_at_all_vectors_of_a_list_and_computes_for_those_that_it_lets_through():
    free, filtered = ivf(1_000_000, 128, 1000, 10), ivf(1_000_000, 128, 1000, 10, allowed=0.01)
    lookups, near = filtered[1].work
    assert near.flops() == pytest.approx(0.01 * free[1].work[0].flops())
    assert lookups.bytes() == pytest.approx(2 * 10_000 * 64)
