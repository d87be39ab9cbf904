"""Helm values for llm-d: servers of vLLM by the ModelService chart, and the endpoint picker that routes to them.

Forms: llm-d-incubation/llm-d-modelservice, `charts/llm-d-modelservice/values.yaml` and `examples/values-pd.yaml`;
the inferencepool chart of the Gateway API Inference Extension, `inferenceExtension.pluginsCustomConfig`; plugins of
llm-d-inference-scheduler. llm-d 0.7 keeps the chart for deployments in this form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.deployment import engines, routers
from simulator.deployment.accelerators import accelerator, per_server
from simulator.deployment.exported import Exported, coverage
from simulator.deployment.flags import words
from simulator.deployment.manifests import manifest_text
from simulator.deployment.naming import checkpoint
from simulator.deployment.pools import Pool, headline, pools_of
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.policies import RouterSpec

LACKS = {
    "router": "the endpoint picker has no such scorer",
    "disaggregation.router": "the endpoint picker has no such scorer",
    "autoscaling": "llm-d scales by a HorizontalPodAutoscaler of its own",
}
# Arguments that the chart adds itself from `parallelism`.
FROM_CHART = ("--tensor-parallel-size", "--data-parallel-size")
# Parameters of policy "weighted" and the scorers whose weights they are.
SCORERS = {
    "prefix": "prefix-cache-scorer", "queue": "queue-scorer", "kv_utilisation": "kv-cache-utilization-scorer",
    "outstanding": "active-request-scorer",
}  # fmt: skip
INSTEAD = "queue-scorer"
SERVER_PORT, SIDECAR_PORT = 8000, 8200


def export_llm_d(scenario: Scenario, remarks: Sequence[str] = ()) -> Exported:
    """Two files of values: `llm-d.yaml` for the ModelService chart, `llm-d-router.yaml` for the inferencepool chart."""
    pools = pools_of(scenario)
    claimed = engines.claimed("vllm", pools) | routers.claimed(pools, routers.LLM_D)
    for field, (_, router) in routers.routed(pools).items():
        if router.policy == "weighted":
            claimed.update((f"{field}.policy", *(f"{field}.options.{option}" for option in router.options)))
    known = {**routers.LLM_D, "weighted": {}}
    notes = [*remarks, *engines.notes("vllm", pools), *routers.notes(pools, known, INSTEAD)]
    covered = coverage(scenario, claimed, {**engines.ENGINES["vllm"].lacks, **LACKS, **routers.idle(pools)}, notes)
    comments = [headline(scenario, pools), *covered.comments]
    values = {"llm-d.yaml": _servers(pools), "llm-d-router.yaml": _router(pools)}
    return Exported({name: manifest_text(comments, value) for name, value in values.items()}, covered)


def _servers(pools: list[Pool]) -> dict[str, Any]:
    name = checkpoint(pools[0].scenario.model)
    by_role = {pool.role: pool for pool in pools}
    apart = len(pools) > 1
    serving = by_role["decode"] if apart else by_role["mixed"]
    return {
        "multinode": any(_spread(pool) > 1 for pool in pools),
        "modelArtifacts": {"name": name, "uri": f"hf://{name}", "authSecretName": "hf-token-secret"},
        "routing": {
            "servicePort": SERVER_PORT,
            "proxy": {"enabled": apart, "targetPort": SIDECAR_PORT, "connector": "nixlv2"},
        },
        "decode": _pool(serving),
        "prefill": _pool(by_role["prefill"]) if apart else {"create": False},
    }


def _spread(pool: Pool) -> int:
    room = per_server(pool.scenario.device, pool.scenario.node) or pool.devices
    return -(-pool.devices // room)


def _pool(pool: Pool) -> dict[str, Any]:
    layout, servers = pool.scenario.parallel, _spread(pool)
    resource = accelerator(pool.scenario.device).resource
    count = {resource: str(-(-pool.devices // servers))} if resource else {}
    said = [a for a in engines.ENGINES["vllm"].arguments(pool) if a.name not in FROM_CHART]
    return {
        "create": True,
        "replicas": pool.replicas,
        "parallelism": {
            "tensor": layout.tensor, "data": layout.data, "dataLocal": max(1, layout.data // servers),
            "workers": servers,
        },
        "containers": [
            {
                "name": "vllm", "modelCommand": "vllmServe", "args": words(said), "env": _environment(pool),
                "resources": {"limits": count, "requests": dict(count)}, "mountModelVolume": True,
            }
        ],
    }  # fmt: skip


def _environment(pool: Pool) -> list[dict[str, Any]]:
    if pool.role == "mixed":
        return []
    own_address = {"fieldRef": {"fieldPath": "status.podIP"}}
    return [
        {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": own_address},
        {"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": "5600"},
    ]


def _router(pools: list[Pool]) -> dict[str, Any]:
    chosen = [_profile(router) for _, router in routers.routed(pools).values()]
    names = ["default"] if len(chosen) == 1 else ["prefill", "decode"]
    filters = [[]] if len(chosen) == 1 else [["prefill-filter"], ["decode-filter"]]
    handlers = ["single-profile-handler"] if len(chosen) == 1 else ["prefill-header-handler", "pd-profile-handler"]
    plugins = dict.fromkeys([*handlers, *(name for group in filters for name in group)])
    profiles = []
    for name, kept, (scorers, picker) in zip(names, filters, chosen, strict=True):
        plugins |= dict.fromkeys([*scorers, picker])
        weighed = [{"pluginRef": scorer, "weight": weight} for scorer, weight in scorers.items()]
        used = [*({"pluginRef": one} for one in kept), *weighed, {"pluginRef": picker}]
        profiles.append({"name": name, "plugins": used})
    config = {
        "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": [{"type": plugin} for plugin in plugins],
        "schedulingProfiles": profiles,
    }
    text = manifest_text([], config)
    return {
        "inferenceExtension": {"pluginsConfigFile": "plugins.yaml", "pluginsCustomConfig": {"plugins.yaml": text}},
        "inferencePool": {"targetPorts": [{"number": SERVER_PORT}]},
    }


def _profile(router: RouterSpec) -> tuple[dict[str, float], str]:
    """Scorers with their weights, and the picker."""
    if router.policy == "random":
        return {}, "random-picker"
    if router.policy == "weighted":
        built = build_policy("router", router.policy, router.options)
        weights = {scorer: float(getattr(built, option)) for option, scorer in SCORERS.items()}
        return {scorer: weight for scorer, weight in weights.items() if weight}, "max-score-picker"
    return dict(routers.LLM_D.get(router.policy, {INSTEAD: 1})), "max-score-picker"
