"""The commands as a user runs them: outputs, exit codes, and the line for each bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.kinds import is_summarised
from simulator.policies.registry import POLICIES
from simulator.published import is_published

ROOT = Path(__file__).parents[2]
SAMPLE = str(ROOT / "traces" / "azure-like-conversation.csv.gz")
SMALL = ["--model", "Qwen/Qwen2.5-0.5B", "--device", "nvidia-l4-24gb"]
OWN = "arrival_s,prompt_tokens,output_tokens\n"


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "t.csv"
    path.write_text(OWN + "".join(f"{i * 0.1},{50 + i},{5 + i % 7}\n" for i in range(30)))
    return str(path)


def test_replay_writes_all_it_promises(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code = main(["replay", trace, *SMALL, "--out", str(out), "--timeline", "--json", str(tmp_path / "s.json")])
    assert code == 0
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "requests.parquet", "summary.json", "timeline.json"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads((tmp_path / "s.json").read_text())
    assert summary["requests"]["finished"] == 30
    assert "TTFT" in capsys.readouterr().out


def test_same_seed_same_bytes(trace: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        code = main(
            [
                "replay",
                trace,
                *SMALL,
                "--replicas",
                "3",
                "--router",
                "random",
                "--seed",
                "7",
                "--timeline",
                "-q",
                "--out",
                str(tmp_path / name),
            ]
        )
        assert code == 0
    for file in ("summary.json", "requests.parquet", "report.html", "timeline.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_step_by_step_gives_the_same_requests(trace: str, tmp_path: Path) -> None:
    for name, more in (("a", []), ("b", ["--step-by-step"])):
        assert main(["replay", trace, *SMALL, "-q", "--out", str(tmp_path / name), *more]) == 0
    assert (tmp_path / "a" / "requests.parquet").read_bytes() == (tmp_path / "b" / "requests.parquet").read_bytes()


def test_the_report_holds_the_scenario_to_run_again(trace: str, tmp_path: Path) -> None:
    import html

    assert main(["replay", trace, *SMALL, "--set", "max_num_seqs=4", "-q", "--out", str(tmp_path / "a")]) == 0
    page = (tmp_path / "a" / "report.html").read_text()
    (tmp_path / "again.yaml").write_text(html.unescape(page.split("<pre>")[1].split("</pre>")[0]))
    assert main(["run", str(tmp_path / "again.yaml"), "-q", "--out", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a" / "requests.parquet").read_bytes() == (tmp_path / "b" / "requests.parquet").read_bytes()


def test_sample_trace_replays_with_settings(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        [
            "replay",
            SAMPLE,
            *SMALL,
            "--limit",
            "200",
            "--speed-up",
            "2",
            "--set",
            "kv_cache.blocks=3000",
            "--set",
            "ttft_ms=300",
            "--set",
            "router.policy=shortest-queue",
            "--replicas",
            "2",
        ]
    )
    assert code == 0
    assert "TTFT <= 300 ms" in capsys.readouterr().out


@pytest.mark.parametrize("queue", POLICIES["queue"])
def test_queue_disciplines_serve_everything_and_step_by_step_alike(queue: str, trace: str, tmp_path: Path) -> None:
    pressed = [*SMALL, "--queue", queue, "--set", "max_num_seqs=3", "--speed-up", "50", "-q"]
    for name, more in (("a", []), ("b", ["--step-by-step"])):
        assert main(["replay", trace, *pressed, "--out", str(tmp_path / name), *more]) == 0
    assert (tmp_path / "a" / "requests.parquet").read_bytes() == (tmp_path / "b" / "requests.parquet").read_bytes()
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["requests"]["finished"] == 30


def test_users_own_discipline(trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One method is a discipline; served last come first, the last of a burst is the second to begin."""
    (tmp_path / "own_discipline.py").write_text(
        "class LastComeFirstServed:\n    def key(self, sequence, now):\n        return (-sequence.arrival,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["--queue", "own_discipline:LastComeFirstServed", "--set", "max_num_seqs=1", "--speed-up", "1e6", "-q"]
    assert main(["replay", trace, *SMALL, *arguments, "--out", str(tmp_path / "a")]) == 0
    import pandas as pd

    table = pd.read_parquet(tmp_path / "a" / "requests.parquet")
    assert (table["scheduled_s"] - table["arrival_s"]).idxmax() == 1


def test_closed_loop(trace: str, tmp_path: Path) -> None:
    assert main(["replay", trace, *SMALL, "--concurrency", "4", "-q", "--json", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["requests"]["finished"] == 30


def test_users_own_policy_model_and_device(trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.hardware.device import DEVICES
    from simulator.workloads.models import model_facts

    (tmp_path / "mine.py").write_text(
        "from simulator.policies.batching import VllmV1\n"
        "class ShortestFirst(VllmV1):\n"
        "    def next_batch(self, state):\n"
        "        ordered = sorted(state.waiting, key=lambda s: s.prompt_tokens)\n"
        "        state.waiting.clear()\n"
        "        state.waiting.extend(ordered)\n"
        "        return super().next_batch(state)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(model_facts("Qwen/Qwen2.5-0.5B")["config"]))
    device = (DEVICES / "nvidia-l4-24gb.yaml").read_text().replace("id: nvidia-l4-24gb", "id: my-device")
    (tmp_path / "my-device.yaml").write_text(device)
    arguments = [
        "--model",
        str(tmp_path),
        "--device",
        str(tmp_path / "my-device.yaml"),
        "--policy",
        "mine:ShortestFirst",
    ]
    assert main(["replay", trace, *arguments, "-q"]) == 0


def test_trace_commands(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "describe", trace, "--json", str(tmp_path / "d.json")]) == 0
    assert json.loads((tmp_path / "d.json").read_text())["requests"] == 30
    assert main(["trace", "convert", trace, "--out", str(tmp_path / "t.parquet")]) == 0
    assert main(["trace", "describe", str(tmp_path / "t.parquet")]) == 0
    generated = tmp_path / "again.csv.gz"
    assert (
        main(["trace", "generate", str(ROOT / "traces" / "azure-like-conversation.yaml"), "--out", str(generated)]) == 0
    )
    assert generated.read_bytes() == Path(SAMPLE).read_bytes()
    assert "wrote 4,000 requests" in capsys.readouterr().out


def test_explain_shares_add_up(tmp_path: Path) -> None:
    arguments = [
        "--prefill-tokens",
        "512",
        "--decode-sequences",
        "8",
        "--context",
        "2000",
        "--json",
        str(tmp_path / "e.json"),
    ]
    assert main(["explain", *SMALL, *arguments]) == 0
    explained = json.loads((tmp_path / "e.json").read_text())
    assert sum(p["share"] for p in explained["parts"]) == pytest.approx(1.0)
    assert sum(p["seconds"] for p in explained["parts"]) == pytest.approx(explained["total_s"])


@pytest.mark.parametrize("kind", ["devices", "models", "policies", "workloads", "scenarios"])
def test_list(kind: str, tmp_path: Path) -> None:
    assert main(["list", kind, "--json", str(tmp_path / "l.json")]) == 0
    assert len(json.loads((tmp_path / "l.json").read_text())) >= 5


def test_show_takes_singular_and_plural(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "device", "H100"]) == 0
    assert main(["show", "models", "meta-llama/Llama-3.1-8B"]) == 0
    assert "8,030,261,248" in capsys.readouterr().out


BAD: dict[str, tuple[list[str], str]] = {
    "unknown model": (["--model", "meta-llama/Llama-3.1-7B"], "unknown model 'meta-llama/Llama-3.1-7B': did you mean"),
    "unknown device": (["--device", "nvidia-h1000"], "unknown device 'nvidia-h1000': did you mean"),
    "unknown node": (["--set", "node=hgx-b1000"], "unknown node 'hgx-b1000'"),
    "node of another device": (["--set", "node=hgx-h100"], "holds nvidia-h100-sxm-80gb, not nvidia-l4-24gb"),
    "unknown policy": (["--policy", "vlm-v1"], "unknown batching policy 'vlm-v1': did you mean vllm-v1"),
    "policy that cannot be imported": (
        ["--policy", "nowhere:Policy"],
        "batching policy 'nowhere:Policy' cannot be imported",
    ),
    "unknown policy option": (
        ["--set", "batching.options.chunk=3"],
        "unknown option of batching policy vllm-v1 'chunk'",
    ),
    "unknown queue": (["--queue", "lifo"], "unknown queue policy 'lifo'"),
    "unknown predictor": (
        ["--queue", "sjf", "--set", "queue.options.predictor=exakt"],
        "unknown predictor policy 'exakt': did you mean exact",
    ),
    "unknown router": (["--router", "rr"], "unknown router policy 'rr'"),
    "unknown setting": (["--set", "max_seqs=3"], "unknown setting 'max_seqs': did you mean"),
    "ambiguous setting": (["--set", "policy=orca"], "setting policy could be batching.policy or queue.policy"),
    "setting without value": (["--set", "max_num_seqs"], "--set 'max_num_seqs' is not key=value"),
    "setting of the wrong type": (
        ["--set", "max_num_seqs=many"],
        "batching.max_num_seqs is 'many', which should be a valid integer",
    ),
    "setting out of range": (
        ["--set", "memory_utilization=1.5"],
        "kv_cache.memory_utilization is 1.5, which should be less than or equal to 1",
    ),
    "token budget below sequences": (
        ["--set", "max_num_batched_tokens=64"],
        "max_num_batched_tokens 64 is less than max_num_seqs 256",
    ),
    "replicas": (["--replicas", "0"], "replicas is 0, which should be greater than or equal to 1"),
    "replicas that are no number": (["--replicas", "two"], "Invalid value for '--replicas'"),
    "tensor parallel": (["--tensor-parallel", "3"], "tensor_parallel 3 does not divide the 14 attention heads"),
    "expert parallel without experts": (
        ["--expert-parallel", "2", "--tensor-parallel", "2"],
        "expert_parallel 2 needs experts",
    ),
    "pipeline parallel": (["--pipeline-parallel", "99"], "pipeline_parallel 99 exceeds the 24 layers"),
    "dtype": (["--set", "precision.weights=fp7"], "unknown dtype 'fp7': did you mean"),
    "speed-up": (["--speed-up", "0"], "load.speed_up is 0.0, which should be greater than 0"),
    "limit": (["--limit", "-1"], "load.limit is -1, which should be greater than or equal to 1"),
    "on-error": (["--on-error", "ignore"], "load.on_error is 'ignore', which should be 'stop' or 'skip'"),
    "trace format": (["--format", "azur"], "unknown trace format 'azur': did you mean azure"),
    "unknown option": (["--modle", "x"], "No such option"),
    "blocks beyond memory": (["--set", "kv_cache.blocks=100000000"], "kv_cache.blocks 100,000,000 of"),
    "block size that does not divide": (
        ["--set", "kv_cache.blocks=2"],
        "needs 54 tokens of KV cache (50 prompt + 5 output), and a replica holds 16",
    ),
    "model too large": (
        ["--model", "meta-llama/Llama-3.1-405B"],
        "does not fit on 1 x nvidia-l4-24gb: each device needs",
    ),
    "out is a file": (["--out", __file__], "cannot be a folder"),
    "yaml in a setting": (["--set", "limit=[1"], "not usable YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line_and_exit_code_2(
    name: str, trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, expected = BAD[name]
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "out")]
    assert main(["replay", trace, *SMALL, *out, *arguments]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    if (tmp_path / "out").exists():
        assert list((tmp_path / "out").iterdir()) == []


def test_requests_that_never_fit_can_be_skipped(trace: str, tmp_path: Path) -> None:
    arguments = ["--set", "kv_cache.blocks=5", "--on-error", "skip", "-q", "--json", str(tmp_path / "s.json")]
    assert main(["replay", trace, *SMALL, *arguments]) == 0
    requests = json.loads((tmp_path / "s.json").read_text())["requests"]
    assert requests["finished"] + requests["rejected"] == 30
    assert requests["rejected"] > 0


SCENARIO = "model: Qwen/Qwen2.5-0.5B\ndevice: nvidia-l4-24gb\nload: {generator: azure-conversation, limit: 20}\n"
BAD_SCENARIOS: dict[str, tuple[str, str]] = {
    "unknown field": (SCENARIO + "replica: 2\n", ":4: unknown field 'replica': did you mean replicas"),
    "nested unknown field": (
        SCENARIO + "batching: {max_num_seq: 2}\n",
        ":4: unknown field 'batching.max_num_seq': did you mean batching.max_num_seqs",
    ),
    "wrong type": (SCENARIO + "replicas: many\n", ":4: replicas is 'many', which should be a valid integer"),
    "missing field": ("model: x\n", "device is missing"),
    "no load": ("model: x\ndevice: y\nload: {}\n", "load: give either trace (a file) or generator"),
    "duplicate key": (SCENARIO + "model: x\n", ":4: duplicate key 'model', first given on line 1"),
    "circular alias": ("model: &a [*a]\n", "an alias contains itself"),
    "code in YAML": ("model: !!python/object/apply:os.system [ls]\n", "not usable YAML"),
    "not a mapping": ("- a\n- b\n", "a scenario is a mapping of fields, not list"),
    "empty": ("", "a scenario is a mapping of fields, not NoneType"),
    "syntax": ("model: [x\n", "not usable YAML"),
    "unknown workload": (SCENARIO.replace("azure-conversation", "azur-chat"), "unknown workload 'azur-chat'"),
    "NaN": (
        SCENARIO + "price_per_device_hour: .nan\n",
        ":4: price_per_device_hour is nan, which should be a finite number",
    ),
    "kind": (SCENARIO + "kind: baking\n", ":4: kind is 'baking', which should be 'serving'"),
}


@pytest.mark.parametrize("name", BAD_SCENARIOS)
def test_bad_scenarios_name_field_file_and_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected = BAD_SCENARIOS[name]
    path = tmp_path / "s.yaml"
    path.write_text(text)
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


SCENARIOS = [p for p in sorted((ROOT / "simulator" / "scenarios").rglob("*.yaml")) if not is_published(p)]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_shipped_scenarios_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = "| step " if "kind: training\n" in path.read_text() else "|"
    shorter, wanted = ([], step) if is_summarised(path) else (["--set", "load.limit=30"], "| requests")
    assert main(["run", str(path), *shorter]) == 0
    assert wanted in capsys.readouterr().out


def test_relative_traces_are_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(OWN + "0,5,6\n")
    (tmp_path / "s.yaml").write_text("model: Qwen/Qwen2.5-0.5B\ndevice: L4\nload: {trace: t.csv}\n")
    assert main(["run", str(tmp_path / "s.yaml"), "-q"]) == 0


def test_help_and_python_m() -> None:
    import subprocess
    import sys

    shown = subprocess.run([sys.executable, "-m", "simulator", "--help"], check=True, capture_output=True, text=True)
    for command in ("replay", "run", "trace", "list", "show", "explain"):
        assert command in shown.stdout


def test_importing_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    heavy = ("numpy", "pandas", "matplotlib", "pyarrow")
    code = f"import sys, simulator, simulator.cli; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
