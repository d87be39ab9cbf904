"""vLLM and SGLang as shell scripts, their own routers before them."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.deployment import engines, routers
from simulator.deployment.exported import Exported, coverage
from simulator.deployment.flags import words
from simulator.deployment.naming import checkpoint
from simulator.deployment.placing import Instance, placed
from simulator.deployment.pools import Pool, headline, pools_of
from simulator.deployment.shell import Command, address, script, servers, visible
from simulator.scenario import Scenario

# First ports; each replica on a server adds its place.
VLLM_ROUTER, VLLM_SERVER, VLLM_NIXL, VLLM_MASTER, VLLM_RPC = 8000, 8100, 5600, 29500, 13345
SGLANG_ROUTER, SGLANG_SERVER, SGLANG_BOOTSTRAP, SGLANG_DIST = 30000, 30100, 8998, 20000
# Ports that one replica may take for its devices.
APART = 32


def export_vllm(scenario: Scenario, remarks: Sequence[str] = ()) -> Exported:
    """`vllm serve` for each replica, and vllm-router before several."""
    return _exported(scenario, "vllm", remarks)


def export_sglang(scenario: Scenario, remarks: Sequence[str] = ()) -> Exported:
    """`python -m sglang.launch_server` for each replica, and the SGLang router before several."""
    return _exported(scenario, "sglang", remarks)


def _exported(scenario: Scenario, engine: str, remarks: Sequence[str]) -> Exported:
    pools = pools_of(scenario)
    instances = placed(pools)
    commands, router = (_vllm, _vllm_router) if engine == "vllm" else (_sglang, _sglang_router)
    known = routers.VLLM if engine == "vllm" else routers.SGLANG
    said = routers.claimed(pools, known) if len(instances) > 1 else set()
    covered = coverage(
        scenario,
        engines.claimed(engine, pools) | said,
        {**engines.ENGINES[engine].lacks, **routers.idle(pools)},
        [*remarks, *engines.notes(engine, pools), *routers.notes(pools, known, routers.USUAL)],
    )
    head = [headline(scenario, pools), *covered.comments]
    lines = [command for instance in instances for command in commands(instance, servers(instances))]
    before = router(pools, instances) if len(instances) > 1 else None
    return Exported({f"{engine}.sh": script(head, lines, before)}, covered)


def _vllm(instance: Instance, count: int) -> list[Command]:
    pool, ranks = instance.pool, instance.pool.scenario.parallel.data
    first, over = address(instance.servers[0], count), len(instance.servers)
    given = visible(instance)
    if pool.role != "mixed":
        given |= {"VLLM_NIXL_SIDE_CHANNEL_HOST": first} if count > 1 else {}
        given["VLLM_NIXL_SIDE_CHANNEL_PORT"] = str(VLLM_NIXL + APART * instance.place)
    said = ["vllm", "serve", checkpoint(pool.scenario.model), *words(engines.ENGINES["vllm"].arguments(pool))]
    said += ["--host", "0.0.0.0", "--port", str(VLLM_SERVER + instance.place)]
    found = []
    for rank, server in enumerate(instance.servers):
        more: list[str] = []
        if over > 1 and ranks > 1 and ranks % over == 0:
            more = ["--data-parallel-size-local", str(ranks // over), "--data-parallel-address", first,
                    "--data-parallel-start-rank", str(rank * ranks // over),
                    "--data-parallel-rpc-port", str(VLLM_RPC + instance.place)]  # fmt: skip
        elif over > 1:
            more = ["--nnodes", str(over), "--node-rank", str(rank), "--master-addr", first,
                    "--master-port", str(VLLM_MASTER + instance.place)]  # fmt: skip
        found.append(Command([*said, *more, *(["--headless"] if rank else [])], given, server))
    return found


def _vllm_router(pools: Sequence[Pool], instances: Sequence[Instance]) -> Command:
    said = ["vllm-router", "--host", "0.0.0.0", "--port", str(VLLM_ROUTER)]
    urls = {role: _urls(instances, role, VLLM_SERVER) for role in ("mixed", "prefill", "decode")}
    return Command([*said, *_policies(pools, routers.VLLM, "--vllm-pd-disaggregation"), *_workers(urls)])


def _sglang(instance: Instance, count: int) -> list[Command]:
    pool, over = instance.pool, len(instance.servers)
    said = ["python", "-m", "sglang.launch_server", "--model-path", checkpoint(pool.scenario.model)]
    said += words(engines.ENGINES["sglang"].arguments(pool))
    said += ["--host", "0.0.0.0", "--port", str(SGLANG_SERVER + instance.place)]
    if pool.role == "prefill":
        said += ["--disaggregation-bootstrap-port", str(SGLANG_BOOTSTRAP + instance.place)]
    found = []
    for rank, server in enumerate(instance.servers):
        start = f"{address(instance.servers[0], count)}:{SGLANG_DIST + instance.place}"
        more = ["--nnodes", str(over), "--node-rank", str(rank), "--dist-init-addr", start] if over > 1 else []
        found.append(Command([*said, *more], visible(instance), server))
    return found


def _sglang_router(pools: Sequence[Pool], instances: Sequence[Instance]) -> Command:
    said = ["python", "-m", "sglang_router.launch_router", "--host", "0.0.0.0", "--port", str(SGLANG_ROUTER)]
    urls = {role: _urls(instances, role, SGLANG_SERVER) for role in ("mixed", "prefill", "decode")}
    bootstraps = [str(SGLANG_BOOTSTRAP + i.place) for i in instances if i.pool.role == "prefill"]
    return Command([*said, *_policies(pools, routers.SGLANG, "--pd-disaggregation"), *_workers(urls, bootstraps)])


def _policies(pools: Sequence[Pool], known: dict[str, str], apart: str) -> list[str]:
    chosen = [routers.policy(router, known) for _, router in routers.routed(pools).values()]
    if len(chosen) == 1:
        return ["--policy", chosen[0]]
    return [apart, "--policy", chosen[0], "--prefill-policy", chosen[0], "--decode-policy", chosen[1]]


def _urls(instances: Sequence[Instance], role: str, port: int) -> list[str]:
    count = servers(instances)
    return [f"http://{address(i.servers[0], count)}:{port + i.place}" for i in instances if i.pool.role == role]


def _workers(urls: dict[str, list[str]], bootstraps: Sequence[str] = ()) -> list[str]:
    if urls["mixed"]:
        return ["--worker-urls", *urls["mixed"]]
    found: list[str] = []
    for place, url in enumerate(urls["prefill"]):
        found += ["--prefill", url, *bootstraps[place : place + 1]]
    for url in urls["decode"]:
        found += ["--decode", url]
    return found
