"""A DynamoGraphDeployment of NVIDIA Dynamo: a frontend that routes, and workers of vLLM or SGLang.

Form: ai-dynamo/dynamo, `examples/backends/vllm/deploy/disagg_router.yaml` (nvidia.com/v1alpha1), and the router guide
of Dynamo 1.5 for `DYN_ROUTER_MODE`; workers take the arguments of their engine, and `--disaggregation-mode`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from simulator.deployment import engines, routers
from simulator.deployment.accelerators import per_server
from simulator.deployment.exported import Exported, coverage
from simulator.deployment.flags import words
from simulator.deployment.manifests import manifest_text
from simulator.deployment.naming import checkpoint
from simulator.deployment.pools import Pool, headline, pools_of
from simulator.scenario import Scenario

IMAGE = "nvcr.io/nvidia/ai-dynamo/{engine}-runtime:VERSION"
MODEL = {"vllm": "--model", "sglang": "--model-path"}
SERVICES = {"mixed": "Worker", "prefill": "PrefillWorker", "decode": "DecodeWorker"}
KV_EVENTS = {"publisher": "zmq", "topic": "kv-events", "endpoint": "tcp://*:5557"}
LACKS = {
    "router": "Dynamo's frontend has no such router mode",
    "disaggregation.router": "Dynamo's frontend has one router mode for all workers",
    "autoscaling": "Dynamo's planner scales by objectives of its own",
    "disaggregation.roles": "Dynamo's planner changes the number of workers by objectives of its own",
}
LONGEST_NAME = 40


def export_dynamo(scenario: Scenario, remarks: Sequence[str] = ()) -> Exported:
    """One Kubernetes manifest; workers of SGLang where the scenario's engine is SGLang, else of vLLM."""
    engine = "sglang" if scenario.engine.startswith("sglang") else "vllm"
    pools = pools_of(scenario)
    mode = routers.policy(scenario.router, routers.DYNAMO)
    claimed = engines.claimed(engine, pools) | routers.claimed(pools, routers.DYNAMO)
    apart = scenario.disaggregation
    notes = [*remarks, *engines.notes(engine, pools), "put the release of Dynamo in place of VERSION"]
    notes += routers.notes(pools, routers.DYNAMO, routers.USUAL)
    if apart is not None and apart.router.policy != scenario.router.policy:
        claimed.discard("disaggregation.router.policy")
    if apart is not None and pools[1].replicas > 1 and apart.router.policy != scenario.router.policy:
        notes.append(f"the frontend's one mode, {mode}, chooses decode workers too, not {apart.router.policy}")
    covered = coverage(scenario, claimed, {**engines.ENGINES[engine].lacks, **LACKS, **routers.idle(pools)}, notes)
    workers = {SERVICES[pool.role]: _worker(pool, engine, mode) for pool in pools}
    manifest = {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": _name(scenario)},
        "spec": {"services": {"Frontend": _frontend(engine, mode), **workers}},
    }
    text = manifest_text([headline(scenario, pools), *covered.comments], manifest)
    return Exported({"dynamo.yaml": text}, covered)


def _frontend(engine: str, mode: str) -> dict[str, Any]:
    return {
        "componentType": "frontend",
        "replicas": 1,
        "envs": [{"name": "DYN_ROUTER_MODE", "value": mode}],
        "extraPodSpec": {"mainContainer": {"image": IMAGE.format(engine=engine)}},
    }


def _worker(pool: Pool, engine: str, mode: str) -> dict[str, Any]:
    said = [MODEL[engine], checkpoint(pool.scenario.model), *words(engines.ENGINES[engine].arguments(pool))]
    if pool.role != "mixed" and engine == "vllm":
        said += ["--disaggregation-mode", pool.role]
    if mode == "kv" and pool.role != "decode":
        events = KV_EVENTS | ({"enable_kv_cache_events": True} if engine == "vllm" else {})
        said += ["--kv-events-config", json.dumps(events)]
    room = per_server(pool.scenario.device, pool.scenario.node) or pool.devices
    servers = -(-pool.devices // room)
    found: dict[str, Any] = {
        "envFromSecret": "hf-token-secret",
        "componentType": "worker",
        "replicas": pool.replicas,
        "resources": {"limits": {"gpu": str(min(pool.devices, room))}},
    }
    if servers > 1:
        found["multinode"] = {"nodeCount": servers}
    found["extraPodSpec"] = {
        "mainContainer": {
            "image": IMAGE.format(engine=engine), "command": ["python3", "-m", f"dynamo.{engine}"], "args": said,
        }
    }  # fmt: skip
    return found


def _name(scenario: Scenario) -> str:
    """A name that Kubernetes allows (RFC 1123)."""
    plain = re.sub(r"[^a-z0-9]+", "-", checkpoint(scenario.model).lower().rpartition("/")[2])
    return plain[:LONGEST_NAME].strip("-") or "deployment"
