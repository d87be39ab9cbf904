"""The simulation of a load against a real engine that serves it on this machine's processor."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.calibrate.check_serving import STATISTICS, Latencies, latencies, simulated, sources_of, statistic_of
from simulator.calibrate.engine import Decoder, RealTimer
from simulator.calibrate.errors import Comparison
from simulator.calibrate.files import fit_rows
from simulator.calibrate.microbench import measure
from simulator.calibrate.this_cpu import this_cpu
from simulator.engine.cluster import Cluster
from simulator.engine.cluster_spec import Load, ReplicaSpec
from simulator.engine.recorder import Recorder
from simulator.engine.streams import stream
from simulator.experiment import request_source, run
from simulator.policies.batching.state import Limits
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario, scenario_from
from simulator.workloads.models import model

# Larger than any processor's cache, small enough for a step of some ten milliseconds.
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "vocab_size": 8192,
    "max_position_embeddings": 2048,
    "torch_dtype": "float32",
}
BLOCKS, BLOCK_TOKENS = 512, 16


def check_engine(
    *, calibration: str | Path | None = None, requests: int = 48, say: Callable[[str], None] = lambda _: None
) -> Comparison:
    """Serve a load by the real engine, simulate the same load, and compare TTFT, TPOT and E2E.

    Without a `calibration` of this machine its kernels are measured and fitted first (a minute).
    """
    comparison = Comparison()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        on = this_cpu(folder)
        if calibration is None:
            calibration = folder / "cpu.yaml"
            (text,) = fit_rows(measure(say=say).assign(device=on.id), on, say=say).values()
            calibration.write_text(text, encoding="utf-8")
        (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        scenario = engine_scenario(folder, calibration, requests)
        decoder = Decoder(model(scenario.model), blocks=BLOCKS, block_tokens=BLOCK_TOKENS)
        decoder.cache.fill(0.1)  # so that no page is touched for the first time while the clock runs
        serve(scenario.model_copy(update={"load": scenario.load.model_copy(update={"limit": 8})}), decoder)
        measured = serve(scenario, decoder)
        result = run(scenario)
        predicted = simulated(result)
        comparison.sources.update(sources_of(result))
    for metric, values in measured.named.items():
        for statistic, quantile in STATISTICS.items():
            label = {"run": "NumPy engine on this machine", "metric": metric, "statistic": statistic}
            found, wanted = (statistic_of(x, quantile) for x in (predicted.named[metric], values))
            comparison.add(label, [found], [wanted])
    return comparison


def engine_scenario(folder: Path, calibration: str | Path, requests: int) -> Scenario:
    """The load and deployment that both are given; overheads of a serving engine are not part of it."""
    (folder / "none.yaml").write_text("engine: none\nsource: kernels alone\ngraph_tokens: 1.0e+9\n", encoding="utf-8")
    return scenario_from(
        {
            "model": str(folder / "config.json"),
            "device": str(folder / "this-cpu.device.yaml"),
            "engine": str(folder / "none.yaml"),
            "calibration": str(calibration),
            "precision": {"weights": "fp32", "activations": "fp32", "kv_cache": "fp32"},
            "batching": {"max_num_seqs": 16, "max_num_batched_tokens": 256},
            "kv_cache": {"blocks": BLOCKS, "block_size": BLOCK_TOKENS, "prefix_caching": False},
            "load": {
                "concurrency": 4,
                "generator": {
                    "arrivals": {"process": "burst"},
                    "prompt_tokens": {"law": "uniform", "least": 16, "most": 240},
                    "output_tokens": {"law": "uniform", "least": 8, "most": 40},
                    "requests": requests,
                },
            },
        }
    )


def serve(scenario: Scenario, decoder: Decoder) -> Latencies:
    """Serve a scenario's load by the real engine; latencies in the order of the requests."""
    timer = RealTimer(decoder)
    recorder = Recorder(iterations=False)
    cluster = Cluster(
        ReplicaSpec(
            timer=timer,  # type: ignore[arg-type]
            limits=Limits(scenario.batching.max_num_seqs, scenario.batching.max_num_batched_tokens),
            kv=lambda: PagedKVCache(blocks=BLOCKS - 1, block_tokens=BLOCK_TOKENS, prefix_caching=False),
            policy=lambda: build_policy("batching", scenario.batching.policy, {}),
        ),
        replicas=1,
        router=build_policy("router", "round-robin", {}, rng=stream(0, "router")),
        recorder=recorder,
        load=Load(scenario.load.concurrency, False),
        fast_forward=False,
    )
    timer.state = cluster.replicas[0].lanes[0].state
    cluster.run(request_source(scenario.load))
    c = recorder.requests()
    order = c["index"].argsort()
    arrival, first, last = (c[n][order] for n in ("arrival_s", "first_token_s", "finish_s"))
    return latencies(first - arrival, last - arrival, c["output_tokens"][order].astype("int64"))
