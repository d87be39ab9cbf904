"""Reads exported files back, by argparse and YAML alone: fields of the scenario as the text states them."""

import argparse
import json
import shlex

import yaml

from simulator.deployment import routers, sglang, vllm
from simulator.deployment.formats import DTYPE

GIB = 2**30


def lines_of(text):
    """Comments of a script, and its commands as (environment, words)."""
    comments, commands = [], []
    for line in text.split("\n"):
        if line.startswith("# "):
            comments.append(line[2:])
        if line.endswith(" &"):
            found = shlex.split(line.removesuffix(" &"))
            given = {}
            while "=" in found[0]:
                name, _, value = found.pop(0).partition("=")
                given[name] = value
            commands.append((given, found))
    return comments, commands


def parser_of(table, **more):
    """argparse over a table of flags and further names: "json", "list", "switch" or a type."""
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    kinds = dict(more)
    for flag in table:
        for name in (flag.on, flag.off):
            if name:
                kinds[name] = "switch" if flag.kind is bool else flag.kind
    for name, kind in kinds.items():
        if kind == "switch":
            parser.add_argument(name, dest=name, action="store_true", default=None)
        elif kind == "list":
            parser.add_argument(name, dest=name, nargs="+")
        else:
            parser.add_argument(name, dest=name, type=json.loads if kind == "json" else kind)
    return parser


VLLM_MORE = {
    **dict.fromkeys(vllm.RANK_FLAGS.values(), int), "--enable-chunked-prefill": "switch",
    "--enable-expert-parallel": "switch", "--enable-eplb": "switch", "--eplb-config": "json", "--quantization": str,
    "--dtype": str, "--speculative-config": "json", "--enable-lora": "switch", "--max-lora-rank": int,
    "--max-cpu-loras": int, "--lora-target-modules": "list", "--max-loras": int, "--kv-offloading-size": float,
    "--kv-offloading-backend": str, "--max-num-queued-reqs": int, "--kv-transfer-config": "json",
    "--enforce-eager": "switch", "--host": str, "--port": int, "--nnodes": int, "--node-rank": int,
    "--master-addr": str, "--master-port": int, "--headless": "switch", "--data-parallel-size-local": int,
    "--data-parallel-address": str, "--data-parallel-start-rank": int, "--data-parallel-rpc-port": int,
    "--disaggregation-mode": str, "--kv-events-config": "json",
}  # fmt: skip
SGLANG_MORE = {
    "--tp-size": int, "--dp-size": int, "--ep-size": int, "--enable-dp-attention": "switch",
    "--chunked-prefill-size": int, "--max-prefill-tokens": int, "--enable-mixed-chunk": "switch",
    "--schedule-policy": str, "--enable-priority-scheduling": "switch",
    "--schedule-low-priority-values-first": "switch", "--max-total-tokens": int, "--quantization": str, "--dtype": str,
    "--enable-eplb": "switch", "--ep-num-redundant-experts": int, "--speculative-algorithm": str,
    "--speculative-num-steps": int, "--speculative-eagle-topk": int, "--speculative-num-draft-tokens": int,
    "--speculative-draft-model-path": str, "--enable-lora": "switch", "--max-lora-rank": int, "--max-loaded-loras": int,
    "--lora-target-modules": "list", "--max-loras-per-batch": int, "--enable-hierarchical-cache": "switch",
    "--hicache-size": int, "--max-queued-requests": int, "--disaggregation-mode": str,
    "--disaggregation-transfer-backend": str, "--disaggregation-bootstrap-port": int, "--disable-cuda-graph": "switch",
    "--host": str, "--port": int, "--nnodes": int, "--node-rank": int, "--dist-init-addr": str, "--model-path": str,
    "--kv-events-config": "json",
}  # fmt: skip


VLLM = parser_of((*vllm.FLAGS, *vllm.V1_FLAGS), **VLLM_MORE)
SGLANG = parser_of(sglang.FLAGS, **SGLANG_MORE)


def back(table, value):
    """What the engine's word for a value can stand for."""
    return [key for key, word in table.items() if word == value]


def plain(table, said):
    """Fields that a table's flags state."""
    found = {}
    for flag in table:
        if flag.kind is bool:
            if said.get(flag.on) or said.get(flag.off):
                found[flag.field] = [bool(said.get(flag.on))]
        elif said.get(flag.on) is not None:
            found[flag.field] = [said[flag.on]] if flag.values is None else back(flag.values, said[flag.on])
    return found


def from_vllm(words):
    """Fields, each with the values that it can have, that arguments of `vllm serve` state."""
    said = vars(VLLM.parse_args(words))
    found = plain((*vllm.FLAGS, *vllm.V1_FLAGS), said)
    ranks = said["--data-parallel-size"] or 1
    for field, name in vllm.RANK_FLAGS.items():
        if said[name] is not None:
            found[field] = [said[name] * ranks]
    if said["--enable-chunked-prefill"]:
        found["batching.policy"] = ["vllm-v1"]
    if said["--enable-expert-parallel"]:
        found["parallel.expert"] = [(said["--tensor-parallel-size"] or 1) * ranks]
    if said["--enable-eplb"]:
        found["experts.redundant"] = [said["--eplb-config"]["num_redundant_experts"]]
    formats(said, vllm, found)
    if said["--max-lora-rank"]:
        found["adapters.count"] = [said["--max-cpu-loras"]]
        found["adapters.ranks"] = lambda ranks: 0 <= said["--max-lora-rank"] - max(ranks) < said["--max-lora-rank"]
        slots(said, "--max-loras", found)
    if said["--kv-offloading-size"]:
        tier("host", said["--kv-offloading-size"] * GIB * ranks / 1e9, found)
    if said["--max-num-queued-reqs"]:
        running = said["--max-num-seqs"] * ranks
        found |= {"admission.policy": ["queue-limit"]}
        found["admission.options.limit"] = [said["--max-num-queued-reqs"] - running]
    drafts = said["--speculative-config"]
    if drafts:
        found["speculation.options.tokens"] = [drafts["num_speculative_tokens"]]
        sources = {"ngram": "n-gram", "mtp": "mtp", "draft_model": "model"}
        found |= {"speculation.policy": ["fixed"], "speculation.draft.source": [sources[drafts["method"]]]}
        found["speculation.draft.options.model"] = [drafts.get("model")]
        found["speculation.draft.options.tensor"] = [drafts.get("draft_tensor_parallel_size")]
    return found, said


def from_sglang(words):
    """The same of `python -m sglang.launch_server`."""
    said = vars(SGLANG.parse_args(words))
    found = plain(sglang.FLAGS, said)
    ranks = said["--dp-size"] or 1
    found |= {"parallel.tensor": [said["--tp-size"] // ranks], "parallel.data": [ranks]}
    found["parallel.expert"] = [said["--ep-size"] or 1]
    if said["--chunked-prefill-size"] == -1:
        found |= {
            "batching.policy": ["vllm-v0"],
            "batching.max_num_batched_tokens": [said["--max-prefill-tokens"] * ranks],
        }
    else:
        found["batching.max_num_batched_tokens"] = [said["--chunked-prefill-size"]]
    if said["--enable-mixed-chunk"]:
        found["batching.policy"] = ["vllm-v1"]
    if said["--enable-priority-scheduling"]:
        found["queue.policy"] = ["priority"]
        found["queue.options.larger_first"] = [not said["--schedule-low-priority-values-first"]]
    elif said["--schedule-policy"]:
        found["queue.policy"] = [said["--schedule-policy"]]
    if said["--max-total-tokens"]:
        found["kv_cache.blocks"] = [said["--max-total-tokens"] * ranks // said["--page-size"]]
    formats(said, sglang, found)
    if said["--enable-eplb"]:
        found["experts.redundant"] = [said["--ep-num-redundant-experts"]]
    if said["--enable-lora"]:
        found["adapters.count"] = [said["--max-loaded-loras"]]
        found["adapters.ranks"] = lambda ranks: said["--max-lora-rank"] == max(ranks)
        slots(said, "--max-loras-per-batch", found)
    if said["--enable-hierarchical-cache"]:
        devices = said["--tp-size"] * (said["--pp-size"] or 1)
        tier("host", said["--hicache-size"] * devices, found)
    if said["--max-queued-requests"]:
        found |= {
            "admission.policy": ["queue-limit"],
            "admission.options.limit": [said["--max-queued-requests"] * ranks],
        }
    drafts = {"NGRAM": "n-gram", "NEXTN": "mtp", "STANDALONE": "model"}.get(said["--speculative-algorithm"])
    if drafts:
        found |= {"speculation.policy": ["fixed"], "speculation.draft.source": [drafts]}
        tokens = said["--speculative-num-draft-tokens"] - 1
        assert said["--speculative-num-steps"] == (None if drafts == "n-gram" else tokens)
        found["speculation.options.tokens"] = [tokens]
        found["speculation.draft.options.model"] = [said["--speculative-draft-model-path"]]
    return found, said


def formats(said, engine, found):
    if said["--quantization"]:
        found["precision.weights"] = back(engine.QUANTIZATION, said["--quantization"])
    if said["--dtype"]:
        found["precision.activations"] = back(DTYPE, said["--dtype"])
        found.setdefault("precision.weights", back(DTYPE, said["--dtype"]))


def slots(said, name, found):
    found["adapters.targets"] = lambda targets: said["--lora-target-modules"] == [f"{t}_proj" for t in targets]
    if said[name]:
        found |= {"adapters.policy": ["static"], "adapters.options.slots": [said[name]]}


def tier(name, gigabytes, found):
    for place in range(4):
        found[f"kv_cache.tiers.{place}.name"] = [name]
        found[f"kv_cache.tiers.{place}.capacity_gb"] = lambda given: abs(given - gigabytes) < 1e-6 * gigabytes


def pooled(role, found):
    """Fields of the prefill pool by the names that they have in the whole scenario."""
    if role != "prefill":
        return found
    own = ("parallel.", "batching.")
    return {f"disaggregation.{k}" if k.startswith(own) else k: v for k, v in found.items()}


def read_script(text, engine):
    """Comments and stated fields of a shell script, and the number of replicas by role."""
    comments, commands = lines_of(text)
    found, counts, models = {}, {}, set()
    for _, words in commands:
        if "vllm-router" in words or "sglang_router.launch_router" in words:
            found |= read_router(words, routers.VLLM if engine == "vllm" else routers.SGLANG)
            continue
        if engine == "vllm":
            assert words[:2] == ["vllm", "serve"]
            fields, said = from_vllm(words[3:])
            models.add(words[2])
            transfer = said["--kv-transfer-config"]
            role = {"kv_producer": "prefill", "kv_consumer": "decode"}[transfer["kv_role"]] if transfer else "mixed"
        else:
            fields, said = from_sglang(words[3:])
            models.add(said["--model-path"])
            role = said["--disaggregation-mode"] or "mixed"
        if not said["--node-rank"] and not said.get("--data-parallel-start-rank"):
            counts[role] = counts.get(role, 0) + 1
        found = {**pooled(role, fields), **found} if role == "prefill" else {**found, **fields}
    return comments, found, counts, models


def read_router(words, table):
    apart = "--prefill-policy" in words
    chosen = words[words.index("--prefill-policy" if apart else "--policy") + 1]
    found = {"router.policy": back(table, chosen)}
    if apart:
        found["disaggregation.router.policy"] = back(table, words[words.index("--decode-policy") + 1])
    return found


def comments_of(text):
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]


def read_dynamo(text):
    document = yaml.safe_load(text)
    services = dict(document["spec"]["services"])
    mode = services.pop("Frontend")["envs"][0]["value"]
    found = {f: back(routers.DYNAMO, mode) for f in ("router.policy", "disaggregation.router.policy")}
    counts, models = {}, set()
    for name, service in services.items():
        role = {"Worker": "mixed", "PrefillWorker": "prefill", "DecodeWorker": "decode"}[name]
        container = service["extraPodSpec"]["mainContainer"]
        engine = container["command"][-1].removeprefix("dynamo.")
        models.add(container["args"][1])
        fields, said = (from_vllm if engine == "vllm" else from_sglang)(
            container["args"][2:] if engine == "vllm" else container["args"]
        )
        assert said["--disaggregation-mode"] == (None if role == "mixed" else role)
        counts[role] = service["replicas"]
        found |= pooled(role, fields)
    return comments_of(text), found, counts, models


def read_llm_d(texts):
    values, picker = (yaml.safe_load(texts[name]) for name in ("llm-d.yaml", "llm-d-router.yaml"))
    found, counts = read_picker(picker), {}
    apart = values["prefill"]["create"]
    for part in ("prefill", "decode"):
        pool = values[part]
        if not pool["create"]:
            continue
        role = part if apart else "mixed"
        layout = pool["parallelism"]
        words = [*pool["containers"][0]["args"], "--tensor-parallel-size", str(layout["tensor"])]
        fields, _ = from_vllm([*words, "--data-parallel-size", str(layout["data"])])
        counts[role] = pool["replicas"]
        found |= pooled(role, fields)
    return comments_of(texts["llm-d.yaml"]), found, counts, {values["modelArtifacts"]["name"]}


def read_picker(values):
    config = yaml.safe_load(values["inferenceExtension"]["pluginsCustomConfig"]["plugins.yaml"])
    named = {plugin["type"] for plugin in config["plugins"]}
    found = {}
    for profile in config["schedulingProfiles"]:
        used = [plugin["pluginRef"] for plugin in profile["plugins"]]
        assert set(used) <= named
        weights = {p["pluginRef"]: p["weight"] for p in profile["plugins"] if "weight" in p}
        field = "disaggregation.router" if profile["name"] == "decode" else "router"
        known = [name for name, scorers in routers.LLM_D.items() if scorers == weights]
        found[f"{field}.policy"] = [*known, "weighted"]
        for option, scorer in (("prefix", "prefix-cache-scorer"), ("queue", "queue-scorer"),
                               ("kv_utilisation", "kv-cache-utilization-scorer"),
                               ("outstanding", "active-request-scorer")):  # fmt: skip
            found[f"{field}.options.{option}"] = [weights.get(scorer, 0)]
    return found
