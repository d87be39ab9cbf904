"""Measure the performance budget: seconds and peak memory of replays, import and help, and how cost grows.

Each row runs in a process of its own, so that peak memory is the row's alone; the best of `--repeats` counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LLAMA_70B = "meta-llama/Llama-3.1-70B"
H100 = "nvidia-h100-sxm-80gb"


@dataclass(frozen=True)
class Row:
    """One line of the budget: what is measured, the limits, and a peer's figure where one is published."""

    name: str
    seconds: float
    megabytes: float | None = None
    peers: str = ""


ROWS = {
    "vllm-300": Row("300-request vLLM run, after import", 0.10, None, "LLMServingSim 2.0: 156 s"),
    "azure": Row(
        "19,366-request Azure trace, 8 x 4 H100, after import",
        2.0,
        500,
        "Vidur: 426 requests/s, 1.4 GB, 21 min training",
    ),
    "azure-command": Row("the same as a whole command, report included", 0.0),
    "million": Row("1,000,000 synthetic requests over 64 replicas", 90.0, 2000),
    "half-million": Row("500,000 of the same (linear growth)", 45.0),
    "plan": Row("plan of 1,152 candidates, Azure trace, first 5,000 requests", 180.0),
    "training-step": Row("step of 10^12 parameters on 3,072 GPUs, after import", 1.0),
    "training-plan": Row("layout of GPT-3 on 512 GPUs, 4,608 combinations", 0.0),
    "networks": Row("100,000 networks around MobileNetV2, after import", 60.0),
    "sweep": Row("sweep of 240 replays of 1,500 requests, a worker a core", 0.0, None, "budget: 85 per cent of ideal"),
    "import": Row("import simulator", 0.35),
    "help": Row("simulator --help", 0.5),
    "step-by-step": Row("Azure trace, first 2,000 requests, every step an event", 0.0),
    "fast-forward": Row("the same with fast-forward", 0.0),
}


COUNTS = (
    "requests", "devices", "iterations", "steps", "candidates", "simulations", "processor_seconds", "points", "workers",
    "seconds_on_one_worker", "per_cent_of_ideal",
)  # fmt: skip


def replay(trace: Path, **settings: Any) -> dict[str, Any]:
    """Seconds of one replay after everything is imported, and what it served."""
    import numpy.random  # noqa: F401 - numpy loads it at first use

    import simulator
    import simulator.api.running
    import simulator.api.views_serving
    import simulator.experiment
    import simulator.report.serving.metrics
    import simulator.workloads.traces

    arguments: dict[str, Any] = {"model": LLAMA_70B, "device": H100, "tensor_parallel": 4, "replicas": 8} | settings
    started = time.perf_counter()
    result = simulator.replay(trace, **arguments)
    requests = result.figures["requests"]["finished"]
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "requests": requests,
        "iterations": len(result.result.iteration_columns["start_s"]),
        "steps": int(result.result.iteration_columns["steps"].sum()),
    }


def million(count: int) -> dict[str, Any]:
    """Seconds to serve `count` generated requests over 64 replicas, generation included."""
    from simulator.experiment import run
    from simulator.scenario import scenario_from

    scenario = scenario_from(
        {
            "model": LLAMA_70B,
            "device": H100,
            "replicas": 64,
            "parallel": {"tensor": 4},
            "load": {
                "generator": {
                    "arrivals": {"process": "poisson", "rate": 64.0},
                    "prompt_tokens": {"law": "lognormal", "median": 1020, "p90": 2500, "max": 8192},
                    "output_tokens": {"law": "lognormal", "median": 129, "p90": 420, "max": 2048},
                    "requests": count,
                    "seed": 0,
                }
            },
        }
    )
    started = time.perf_counter()
    result = run(scenario)
    finished = result.summary["requests"]["finished"]
    return {"seconds": time.perf_counter() - started, "requests": finished}


def training_step() -> dict[str, Any]:
    """Seconds to lay out, simulate and summarise the largest shipped step."""
    from simulator.training import load_training, train

    scenario = load_training(ROOT / "simulator" / "scenarios" / "training" / "gpt-1t.yaml")
    started = time.perf_counter()
    summary = train(scenario).summary
    return {"seconds": time.perf_counter() - started, "devices": summary["layout"]["devices"]}


def training_plan() -> dict[str, Any]:
    """Seconds of the shipped search of a layout, on one process."""
    from simulator.planning.training.plan import load_training_plan, plan_training

    plan = load_training_plan(ROOT / "simulator" / "planning" / "specs" / "gpt-175b-512.yaml")
    started = time.perf_counter()
    search = plan_training(plan).summary["search"]
    return {
        "seconds": time.perf_counter() - started,
        "candidates": search["combinations"],
        "simulations": search["simulated"],
    }


def networks() -> dict[str, Any]:
    """Seconds of the shipped search over networks."""
    from simulator.kinds import load_summarised, simulate

    search = load_summarised(ROOT / "simulator" / "scenarios" / "models" / "mobilenet-v2-space.yaml")
    started = time.perf_counter()
    summary = simulate(search).summary
    return {"seconds": time.perf_counter() - started, "candidates": summary["candidates"]}


def sweep() -> dict[str, Any]:
    """Seconds of a sweep on all cores, start of the workers included, and on one of them."""
    from joblib import cpu_count

    from simulator.sweeping import sweep as run_sweep

    spec = {
        "scenario": "serving/chunked-prefill-8b",
        "vary": {"seed": list(range(48)), "max_num_seqs": [64, 96, 128, 192, 256]},
    }
    taken = []
    for workers in (cpu_count(), 1):
        started = time.perf_counter()
        found = run_sweep(spec, workers=workers)
        taken.append(time.perf_counter() - started)
    return {
        "seconds": taken[0],
        "points": found.simulated,
        "workers": cpu_count(),
        "seconds_on_one_worker": round(taken[1], 1),
        "per_cent_of_ideal": round(100 * taken[1] / (taken[0] * cpu_count())),
    }


def command(*arguments: str) -> dict[str, Any]:
    """Seconds of a whole process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT)
    return {"seconds": time.perf_counter() - started}


def plan(trace: Path) -> dict[str, Any]:
    """Seconds and processor seconds of the planning example on a trace's first 5,000 requests, on two processes."""
    import tempfile

    text = (ROOT / "simulator" / "planning" / "specs" / "azure-70b.yaml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        spec, answer = Path(folder) / "plan.yaml", Path(folder) / "plan.json"
        spec.write_text(
            text.replace("../../../traces/azure-like-conversation.csv.gz", f"{trace.resolve()}, limit: 5000")
        )
        found = command(*f"-m simulator plan {spec} --out {folder} --jobs 2 --quiet --json {answer}".split())
        facts = json.loads(answer.read_text(encoding="utf-8"))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found | {
        "trace": trace.name,
        "candidates": facts["search"]["considered"],
        "simulations": facts["search"]["simulations"],
        "processor_seconds": round(used.ru_utime + used.ru_stime),
    }


def measure(key: str, measured: Path) -> dict[str, Any]:
    """Run one row in this process; peak memory is that of the process (or of its child)."""
    azure = measured / "traces" / "AzureLLMInferenceTrace_conv.csv.gz"
    run_of_300 = measured / "serving" / "vllm-rtxpro6000-llama-3.1-8b" / "requests.jsonl"
    out = ROOT / "out" / "benchmark"
    sample = ROOT / "traces" / "azure-like-conversation.csv.gz"
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        "vllm-300": lambda: replay(
            run_of_300,
            model="meta-llama/Llama-3.1-8B",
            device="nvidia-rtx-pro-6000-96gb",
            tensor_parallel=1,
            replicas=1,
            settings={"max_num_seqs": 128, "max_num_batched_tokens": 2048},
        ),
        "azure": lambda: replay(azure),
        "azure-command": lambda: command(
            *f"-m simulator replay {azure} --model {LLAMA_70B} --device {H100} --tensor-parallel 4".split(),
            *f"--replicas 8 --out {out}".split(),
        ),
        "million": lambda: million(1_000_000),
        "half-million": lambda: million(500_000),
        "plan": lambda: plan(azure if azure.exists() else sample),
        "training-step": training_step,
        "training-plan": training_plan,
        "networks": networks,
        "sweep": sweep,
        "import": lambda: command("-c", "import simulator"),
        "help": lambda: command("-m", "simulator", "--help"),
        "step-by-step": lambda: replay(azure, limit=2000, settings={"fast_forward": False}),
        "fast-forward": lambda: replay(azure, limit=2000),
    }
    found = jobs[key]()
    who = (
        resource.RUSAGE_CHILDREN
        if key in ("azure-command", "plan", "sweep", "import", "help")
        else resource.RUSAGE_SELF
    )
    return found | {"megabytes": resource.getrusage(who).ru_maxrss / 1024}


def best(key: str, measured: Path, repeats: int) -> dict[str, Any]:
    """The quickest of `repeats` runs, each in a fresh process."""

    def runs() -> Iterator[dict[str, Any]]:
        for _ in range(repeats):
            arguments = [sys.executable, __file__, "--row", key, "--measured", str(measured)]
            done = subprocess.run(arguments, check=True, capture_output=True, text=True, cwd=ROOT)
            yield json.loads(done.stdout.splitlines()[-1])

    return min(runs(), key=lambda found: float(found["seconds"]))


def main() -> None:
    """Measure all rows, or the one that a child process is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured", type=Path, default=ROOT.parent / "shared" / "measured")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row, options.measured)))
        return
    needs_data = {"vllm-300", "azure", "azure-command", "step-by-step", "fast-forward"}
    print(f"{'row':58} {'seconds':>9} {'budget':>7} {'MB':>7} {'budget':>7}  notes")
    for key in options.only:
        row = ROWS[key]
        if key in needs_data and not options.measured.exists():
            print(f"{row.name:58} left out: {options.measured} is absent")
            continue
        found = best(key, options.measured, 1 if "million" in key or key in ("plan", "sweep") else options.repeats)
        notes = ", ".join(f"{found[k]:,} {k}" for k in COUNTS if k in found)
        notes += f" of {found['trace']}" if "trace" in found else ""
        limit = f"{row.seconds:.2f}" if row.seconds else ""
        most = f"{row.megabytes:.0f}" if row.megabytes else ""
        peers = f" ({row.peers})" if row.peers else ""
        print(f"{row.name:58} {found['seconds']:9.3f} {limit:>7} {found['megabytes']:7.0f} {most:>7}  {notes}{peers}")


if __name__ == "__main__":
    main()
