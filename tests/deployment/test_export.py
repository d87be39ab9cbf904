"""What is set in a scenario is stated by an export, where argparse and YAML find it, or named as left out."""

import argparse
import os
import re
import shlex
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simulator
from simulator.cli import main
from simulator.deployment import fields, targets
from simulator.deployment.exported import one_line
from simulator.deployment.naming import checkpoint
from simulator.deployment.targets import TARGETS, export, scenario_at
from simulator.errors import InputError
from simulator.hardware.device import device
from simulator.hardware.node import node
from simulator.kinds import load_experiment, summarised_kind
from simulator.published import is_published
from simulator.scenario import Scenario, scenario_from
from simulator.yaml_io import load_yaml
from tests.deployment.reading import lines_of, read_dynamo, read_llm_d, read_script

SERVING = sorted((Path(targets.__file__).parents[1] / "scenarios" / "serving").glob("*.yaml"))
LOAD = {"generator": "azure-conversation", "limit": 10}
BASE = {"model": "meta-llama/Llama-3.1-8B", "device": "nvidia-h100-sxm-80gb", "load": LOAD}


def of(**changes):
    return scenario_from({**BASE, **changes})


def read(scenario, target):
    """Comments, stated fields, replicas by role and models of an export."""
    texts = dict(export(scenario, target).files)
    if target == "llm-d":
        return read_llm_d(texts)
    (text,) = texts.values()
    return read_dynamo(text) if target == "dynamo" else read_script(text, target)


def holds(said, value):
    return said(value) if callable(said) else value in said


def named(comments):
    """Fields that comments name as left out, or as of the simulation alone."""
    found = set()
    for line in comments:
        kind, _, rest = line.partition(": ")
        if kind == "not expressed":
            found.update(re.findall(r"(?:^|, )([a-z_0-9.]+)=", rest))
        elif kind == "of the simulation alone":
            found.update(rest.split(", "))
    return found


def check(scenario, target):
    comments, found, counts, models = read(scenario, target)
    apart = scenario.disaggregation
    apart_too = {} if apart is None else {"prefill": apart.replicas}
    assert counts == {**apart_too, "decode" if apart_too else "mixed": scenario.replicas}
    left = named(comments)
    for field, value in fields.set_fields(scenario).items():
        own = field.removeprefix("disaggregation.")
        if field in left or own == "replicas":
            continue
        if own in ("device", "node", "engine", "name"):
            assert one_line(checkpoint(value)) in comments[0], (field, value)
        elif own == "model":
            assert models == {value}
        elif value == {} and field.startswith("disaggregation"):
            assert "prefill" in counts
        else:
            assert field in found, (field, value)
            assert holds(found[field], value), (field, value, found[field])


def serving_files():
    """Shipped files of kind serving, published ones too."""
    for path in SERVING:
        values = load_yaml(path)
        if summarised_kind(values) is None and values.get("kind") != "cascade":
            yield path


@pytest.mark.parametrize("path", list(serving_files()), ids=lambda p: p.stem)
def test_every_field_of_every_shipped_scenario_is_stated_or_named(path):
    scenario = scenario_at(path)
    for target in TARGETS:
        check(scenario, target)


def option(name, values):
    return st.one_of(st.just({}), st.sampled_from(values).map(lambda v: {name: v}))


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(1, 5),
        "parallel": st.fixed_dictionaries(
            {}, optional={"tensor": st.sampled_from([1, 2, 4, 16]), "pipeline": st.integers(1, 2),
                          "data": st.sampled_from([1, 2, 8]), "expert": st.sampled_from([1, 2, 8, 16])},
        ),
        "precision": st.fixed_dictionaries(
            {}, optional={"weights": st.sampled_from(["fp8", "int4", "int2", "bf16", "nvfp4", "int8", "fp32"]),
                          "activations": st.sampled_from(["bf16", "fp16", "fp8"]),
                          "kv_cache": st.sampled_from(["fp8", "bf16", "int4"])},
        ),
        "batching": st.fixed_dictionaries(
            {}, optional={"policy": st.sampled_from(["vllm-v1", "vllm-v0", "sarathi", "mine:Own"]),
                          "max_num_seqs": st.integers(1, 1000), "max_num_batched_tokens": st.integers(1000, 9999)},
        ),
        "kv_cache": st.fixed_dictionaries(
            {}, optional={"block_size": st.sampled_from([1, 16, 64]), "memory_utilization": st.floats(0.1, 1.0),
                          "blocks": st.integers(2, 10**6), "prefix_caching": st.just(True),
                          "swap": st.just({"capacity_gb": 4}), "layerwise": st.booleans(),
                          "tiers": st.sampled_from([[{"name": "host"}], [{"name": "host", "capacity_gb": 64.5}],
                                                    [{"name": "nvme", "capacity_gb": 9}]])},
        ),
        "queue": st.sampled_from([{"policy": "priority"}, {"policy": "priority", "options": {"larger_first": True}},
                                  {"policy": "mlfq"}, {"policy": "a.b:C", "options": {"x": "a\nb"}}]),
        "router": st.sampled_from([{"policy": p} for p in ("random", "prefix-affinity", "power-of-two", "weighted",
                                                           "shortest-queue", "my.own:Router")]
                                  + [{"policy": "weighted", "options": {"queue": 0.0, "prefix": 7}}]),
        "admission": st.just({"policy": "queue-limit", "options": {"limit": 7}}),
        "speculation": st.sampled_from(
            [{"policy": "fixed"}, {"policy": "fixed", "options": {"tree": [4, 8]}},
             {"policy": "fixed", "options": {"tokens": 3}, "draft": {"source": "mtp"}},
             {"policy": "fixed", "draft": {"source": "model", "options": {"model": "meta-llama/Llama-3.2-1B"}}},
             {"policy": "fixed", "draft": {"source": "model", "options": {"model": "m/x", "tensor": 1}}},
             {"policy": "fixed", "draft": {"source": "early-exit", "options": {"layers": 4}}}]),
        "adapters": st.sampled_from(
            [{"count": 40, "ranks": [8, 24]}, {"count": 3, "policy": "static", "options": {"slots": 2}},
             {"count": 3, "policy": "merged"}]),
        "experts": st.sampled_from([{"redundant": 2}, {"skew": 0.5}, {"local_share": 0.5}]),
        "disaggregation": st.sampled_from(
            [{}, {"replicas": 3, "parallel": {"tensor": 2}}, {"device": "nvidia-a100-sxm-80gb"}, {"parallel": {}},
             {"replicas": 2, "batching": {"max_num_seqs": 9}, "router": {"policy": "random"}},
             {"transfer": {"layerwise": True}, "roles": {"policy": "attainment"}}]),
        "name": st.text(max_size=30), "seed": st.integers(0, 9), "objectives": st.just({"ttft_ms": 1.0}),
        "engine": st.sampled_from(["vllm", "vllm-0.10", "sglang", "trtllm"]),
    },
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(CHANGES, st.sampled_from(list(TARGETS)))
def test_every_field_of_any_scenario_is_stated_or_named(changes, target):
    try:
        scenario = of(**changes)
    except InputError:
        return
    check(scenario, target)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(max_examples=25, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
    st.sampled_from(["vllm", "sglang"]),
)
def test_no_name_breaks_out_of_a_script(name, target):
    (text,) = export(of(name=name, model=f"m/{name}"), target).files.values()
    assert shlex.split(text, comments=True).count(f"m/{name}") == 1
    assert subprocess.run(["sh", "-n"], input=text.encode(), capture_output=True, check=False).returncode == 0
    yaml.safe_load("".join(export(of(name=name, model=f"m/{name}"), "dynamo").files.values()))


def test_replicas_have_devices_and_ports_of_their_own():
    scenario = of(replicas=6, parallel={"tensor": 2}, router={"policy": "prefix-affinity"})
    (text,) = export(scenario, "vllm").files.values()
    _, commands = lines_of(text)
    served = [(given, words) for given, words in commands if words[0] == "vllm"]
    assert [given["CUDA_VISIBLE_DEVICES"] for given, _ in served] == ["0,1", "2,3", "4,5", "6,7", "0,1", "2,3"]
    assert text.count('"${SERVER:-0}" = ') == 2
    assert [words[-1] for _, words in served] == ["8100", "8101", "8102", "8103", "8100", "8101"]
    (router,) = [words for _, words in commands if words[0] == "vllm-router"]
    urls = router[router.index("--worker-urls") + 1 :]
    assert urls == [f"http://server-{n // 4}:{8100 + n % 4}" for n in range(6)]
    assert router[router.index("--policy") + 1] == "cache_aware"


@pytest.mark.parametrize("target", ["vllm", "sglang"])
def test_a_script_starts_every_command_on_its_server(target, tmp_path):
    """A shell runs the script with stand-ins for the programs, which write down what they are given."""
    for program in ("vllm", "vllm-router", "python"):
        stand_in = tmp_path / program
        stand_in.write_text(f'#!/bin/sh\necho "{program} $*" >> "{tmp_path}/log"\n')
        stand_in.chmod(0o755)
    scenario = of(replicas=3, parallel={"tensor": 4}, disaggregation={"parallel": {"tensor": 8, "pipeline": 2}})
    (text,) = export(scenario, target).files.values()
    counts = []
    for server in range(4):
        (tmp_path / "log").unlink(missing_ok=True)
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SERVER": str(server)}
        subprocess.run(["sh"], input=text.encode(), env=environment, check=True, timeout=20)
        counts.append(len((tmp_path / "log").read_text().splitlines()))
    # the prefill replica has a process on each of two servers; the router is beside the first
    assert counts == [2, 1, 2, 1]
    assert "--nnodes 2 --node-rank 1" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_script_stops_its_servers(number, tmp_path):
    for program in ("vllm", "vllm-router"):
        stand_in = tmp_path / program
        stand_in.write_text(f'#!/bin/sh\necho $$ >> "{tmp_path}/log"\nexec sleep 60\n')
        stand_in.chmod(0o755)
    (tmp_path / "vllm.sh").write_text(*export(of(replicas=2), "vllm").files.values())
    log = tmp_path / "log"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with subprocess.Popen(["sh", str(tmp_path / "vllm.sh")], env=environment, start_new_session=True) as shell:
        until = time.monotonic() + 20
        while not log.exists() or len(log.read_text().splitlines()) < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
        shell.send_signal(number)  # to the shell alone
        shell.wait(timeout=20)
    for process in log.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)


def flags(scenario, target):
    """The flags of the first replica, each with the word after it."""
    words = lines_of(*export(scenario, target).files.values())[1][0][1]
    return dict(pairwise(words))


def test_bounds_that_engines_have_for_each_rank_are_divided():
    """SGLang divides running requests and the chunk itself, not the pool of tokens, prompts or its queue."""
    limits = {"max_num_seqs": 64, "max_num_batched_tokens": 4096}
    more = {"parallel": {"data": 8}, "kv_cache": {"blocks": 8000, "block_size": 32},
            "admission": {"policy": "queue-limit", "options": {"limit": 84}}}  # fmt: skip
    mixed, said = of(batching=limits, **more), flags(of(batching=limits, **more), "sglang")
    assert (said["--max-running-requests"], said["--chunked-prefill-size"]) == ("64", "4096")
    assert (said["--max-total-tokens"], said["--max-queued-requests"]) == ("32000", "10")
    left = export(mixed, "sglang").coverage.unexpressed
    assert [dict(each.fields) for each in left if "rank" in each.reason] == [{"admission.options.limit": 84}]
    apart = flags(of(batching={"policy": "vllm-v0", **limits}, **more), "sglang")
    assert (apart["--chunked-prefill-size"], apart["--max-prefill-tokens"]) == ("-1", "512")
    said = flags(mixed, "vllm")
    assert (said["--max-num-seqs"], said["--max-num-batched-tokens"]) == ("8", "512")
    # vLLM counts running requests too, over all ranks
    assert (said["--num-gpu-blocks-override"], said["--max-num-queued-reqs"]) == ("1000", "148")


def test_sglang_counts_the_token_that_n_grams_are_drafted_after():
    speculation = {"policy": "fixed", "options": {"tokens": 4}, "draft": {"source": "n-gram"}}
    assert flags(of(speculation=speculation), "sglang")["--speculative-num-draft-tokens"] == "5"


def test_devices_are_never_more_than_a_server_has():
    scenario = of(replicas=5, parallel={"tensor": 3}, node="hgx-h100")
    inside = node("hgx-h100").devices_per_node
    _, commands = lines_of(export(scenario, "vllm").files["vllm.sh"])
    used = [given["CUDA_VISIBLE_DEVICES"].split(",") for given, _ in commands if given]
    assert all(len(each) == 3 and max(map(int, each)) < inside for each in used)
    assert device(BASE["device"]).node


def test_a_device_that_an_engine_does_not_run_on_is_said():
    scenario = of(device="apple-m2-ultra")
    assert any("no backend for this device" in line for line in read(scenario, "sglang")[0])


def test_commands_write_print_and_refuse(tmp_path, capsys):
    path = str(SERVING[0].with_name("distserve.yaml"))
    assert (
        main(["export", path, "--format", "dynamo", "--out", str(tmp_path / "o"), "--json", str(tmp_path / "j")]) == 0
    )
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["dynamo.yaml"]
    assert "not expressed: disaggregation.batching.policy" in capsys.readouterr().out
    assert main(["export", path, "--format", "ollama"]) == 2
    assert "unknown format 'ollama'" in capsys.readouterr().err
    assert main(["export", str(tmp_path)]) == 2
    assert "holds no best.yaml" in capsys.readouterr().err
    training = SERVING[0].parents[1] / "training" / "gpt-1t.yaml"
    assert main(["export", str(training)]) == 2
    assert "give one of kind serving" in capsys.readouterr().err
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump({**BASE, "speculation": {"policy": "fixed", "options": {"token": 3}}}))
    assert main(["export", str(wrong), "--out", str(tmp_path / "none")]) == 2
    assert "unknown option of speculation policy fixed" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_plan_s_folder_and_its_best_scenario_give_the_same(tmp_path):
    scenario = of(replicas=2)
    (tmp_path / "best.yaml").write_text(yaml.safe_dump(scenario.model_dump(mode="json", exclude_defaults=True)))
    assert scenario_at(tmp_path) == scenario == load_experiment(tmp_path / "best.yaml")
    targets.write_all(tmp_path / "deploy", scenario)
    written = sorted(p.name for p in (tmp_path / "deploy").iterdir())
    assert written == ["dynamo.yaml", "llm-d-router.yaml", "llm-d.yaml", "sglang.sh", "vllm.sh"]


@pytest.mark.parametrize("feasible", [True, False])
def test_launch_lines_of_a_plan_that_nothing_meets_say_so(feasible, tmp_path, capsys):
    generator = {
        "arrivals": {"process": "poisson", "rate": 1.0},
        "prompt_tokens": 100,
        "output_tokens": 5,
        "requests": 9,
    }
    spec = {"kind": "planning", "model": BASE["model"], "load": {"generator": generator}, "max_replicas": 1,
            "devices": [BASE["device"]], "objectives": {"ttft_ms": {"p99": 10_000 if feasible else 0.01}}}  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(spec))
    assert main(["plan", str(tmp_path / "plan.yaml"), "--jobs", "1", "--out", str(tmp_path / "o"), "-q"]) == 0
    texts = [path.read_text() for path in (tmp_path / "o" / "deploy").iterdir()]
    assert main(["export", str(tmp_path / "o")]) == 0
    texts += [capsys.readouterr().out, *simulator.export(tmp_path / "o").values()]
    assert all((targets.NEAREST in text) is not feasible for text in texts)


def test_published_scenarios_are_exported_as_their_system():
    path = next(p for p in SERVING if is_published(p))
    assert isinstance(scenario_at(path), Scenario)
    with pytest.raises(InputError, match="leave --set out"):
        scenario_at(path, ["replicas=2"])


@pytest.mark.parametrize(("target", "package"), [("vllm", "vllm_router"), ("sglang", "sglang_router")])
@pytest.mark.parametrize("apart", [{}, {"disaggregation": {"replicas": 2, "router": {"policy": "random"}}}])
def test_the_routers_own_parsers_take_their_lines(target, package, apart):
    """Runs where the routers are installed: they are native code, too large for the tests' own environment."""
    found = pytest.importorskip(f"{package}.router_args", reason=f"{package} is not installed")
    scenario = of(replicas=3, router={"policy": "prefix-affinity"}, **apart)
    words = lines_of(*export(scenario, target).files.values())[1][-1][1]
    parser = argparse.ArgumentParser()
    found.RouterArgs.add_cli_args(parser)
    read_back = found.RouterArgs.from_cli_args(parser.parse_args(words[1:] if target == "vllm" else words[3:]))
    assert len(read_back.worker_urls) == (0 if apart else 3)
    if apart:
        assert (len(read_back.prefill_urls), len(read_back.decode_urls)) == (2, 3)
        assert (read_back.policy, read_back.decode_policy) == ("cache_aware", "random")
