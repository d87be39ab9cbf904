"""Engine arguments of vLLM for one pool of replicas.

Names, values and meanings: vLLM 0.33.0, `vllm/engine/arg_utils.py` and `vllm/config/` (docs.vllm.ai, "Engine
Arguments"; docs.vllm.ai/en/stable/features/nixl_connector_usage for the transfer of KV caches).
"""

from __future__ import annotations

import json

from simulator.deployment.fields import value_of
from simulator.deployment.flags import Argument, Flag, stated
from simulator.deployment.formats import format_arguments
from simulator.deployment.pools import Pool
from simulator.deployment.settings import chain_length, draft_model, host_tier, is_eager
from simulator.policies.registry import build_policy

NAME = "vLLM"
RUNS_ON = (
    ("nvidia", "gpu"), ("amd", "gpu"), ("intel", "gpu"), ("intel", "cpu"), ("amd", "cpu"), ("aws", "cpu"),
    ("google", "npu"), ("huawei", "npu"), ("aws", "npu"),
)  # fmt: skip
GIB = 2**30
# vllm/config/lora.py, MaxLoRARanks
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
# vllm/model_executor/layers/quantization: fp8 quantises a 16-bit checkpoint as it is loaded, the others name the kind
# of checkpoint that is loaded.
QUANTIZATION = {
    "fp8": "fp8", "fp8_dynamic": "compressed-tensors", "int8": "compressed-tensors", "int4": "awq",
    "nvfp4": "modelopt_fp4", "mxfp4": "mxfp4",
}  # fmt: skip

FLAGS = (
    Flag("parallel.tensor", "--tensor-parallel-size"),
    Flag("parallel.pipeline", "--pipeline-parallel-size", always=False, usual=1),
    Flag("parallel.data", "--data-parallel-size", always=False, usual=1),
    Flag("kv_cache.memory_utilization", "--gpu-memory-utilization", float),
    Flag("kv_cache.block_size", "--block-size"),
    Flag("kv_cache.prefix_caching", "--enable-prefix-caching", bool, off="--no-enable-prefix-caching"),
    Flag("precision.kv_cache", "--kv-cache-dtype", str, values={"fp8": "fp8", "bf16": "bfloat16", "fp16": "float16"}),
    Flag("queue.policy", "--scheduling-policy", str, values={"fcfs": "fcfs", "priority": "priority"}),
)
# Bounds of a replica that vLLM has for each data-parallel rank of it.
RANK_FLAGS = {
    "batching.max_num_seqs": "--max-num-seqs",
    "batching.max_num_batched_tokens": "--max-num-batched-tokens",
    "kv_cache.blocks": "--num-gpu-blocks-override",
}
# Of batching policy vllm-v1, whose options have the names of vLLM's own settings.
V1_FLAGS = (
    Flag("batching.options.long_prefill_token_threshold", "--long-prefill-token-threshold"),
    Flag("batching.options.watermark", "--watermark", float),
    Flag(
        "batching.options.reserve_full_prompt", "--scheduler-reserve-full-isl", bool,
        off="--no-scheduler-reserve-full-isl",
    ),
)  # fmt: skip

LACKS = {
    "engine": "vLLM is launched, whatever engine's kernels and overheads the times are of",
    "device": "vLLM has no backend for this device",
    "model": "a description of one's own is not a checkpoint: put the checkpoint's name in its place",
    "precision": "vLLM has no name for these formats together",
    "parallel.expert": "--enable-expert-parallel always spreads experts over all tensor x data devices",
    "disaggregation.parallel.expert": "--enable-expert-parallel always spreads experts over all tensor x data devices",
    **dict.fromkeys(
        (*RANK_FLAGS, "disaggregation.batching.max_num_seqs", "disaggregation.batching.max_num_batched_tokens"),
        "vLLM bounds each data-parallel rank: its part is rounded down",
    ),
    "batching": "vLLM V1 schedules by one policy, which the simulator calls vllm-v1",
    "disaggregation.batching": "vLLM V1 schedules by one policy, which the simulator calls vllm-v1",
    "queue": "vLLM queues by arrival or by priority, smaller numbers first, without options",
    "kv_cache.swap": "vLLM V1 computes preempted sequences again and swaps none",
    "kv_cache.tiers": "vLLM itself offloads to host memory of a given size, in a replica that does both phases; "
    "other tiers are set up in LMCache",
    "kv_cache": "vLLM's prefix cache has no such setting",
    "execution": "vLLM runs operators one after the other (--enable-dbo overlaps two batches of data-parallel experts)",
    "speculation": "vLLM drafts chains of one length, by n-grams, a draft model or the model's own MTP layers",
    "adapters": "vLLM mixes LoRAs, kept in --max-loras slots",
    "admission": "vLLM refuses requests by their number alone",
    "experts": "vLLM has no such setting for experts (--enable-eplb copies popular ones under expert parallelism)",
    "router": "vLLM's router has no such policy",
    "autoscaling": "vLLM does not start or stop servers; Kubernetes does, by metrics of the servers",
    "migration": "vLLM does not move running sequences",
    "partition": "vLLM does not split a device between prompts and decoding",
    "pairing": "vLLM has no pairs of replicas",
    "shared_prefix_tokens": "vLLM itself decides when a shared prefix is read once (cascade attention)",
    "disaggregation.roles": "servers keep their roles until they are restarted",
    "disaggregation.transfer": "NIXL chooses its links (UCX_NET_DEVICES) and sends a cache as it is, once it is whole",
    "disaggregation.router": "vLLM's router has no such policy",
}  # fmt: skip


def arguments(pool: Pool) -> list[Argument]:
    """What `vllm serve MODEL` is told for a replica of this pool."""
    plain = stated(FLAGS, pool)
    if pool.scenario.batching.policy == "vllm-v1":
        plain += [Argument("--enable-chunked-prefill", (), (pool.origin("batching.policy"),)), *stated(V1_FLAGS, pool)]
    if is_eager(pool):
        plain.append(Argument("--enforce-eager"))
    composed = (_bounds, _formats, _experts, _speculation, _adapters, _tiers, _admission, _transfer)
    return plain + [argument for compose in composed for argument in compose(pool)]


def notes(pool: Pool) -> list[str]:
    """Remarks on what is said, for whoever launches it."""
    found = []
    weights = QUANTIZATION.get(pool.scenario.precision.weights or "")
    if weights and weights != "fp8":
        found.append(f"--quantization {weights} loads a checkpoint of that kind: put its name in the model's place")
    if pool.scenario.adapters is not None and pool.scenario.adapters.policy == "unified":
        found.append("vLLM keeps adapters in slots and not in pages: set --max-loras, 1 otherwise")
    return found


def _bounds(pool: Pool) -> list[Argument]:
    """Each rank's part of the replica's bounds, rounded down."""
    found = []
    ranks = pool.scenario.parallel.data
    for field, name in RANK_FLAGS.items():
        value = value_of(pool.scenario, field)
        if value is not None:
            fields = (pool.origin(field),)
            exact = value % ranks == 0
            found.append(Argument(name, (str(_each(value, ranks)),), *((fields,) if exact else ((), fields))))
    return found


def _each(bound: int, ranks: int) -> int:
    return max(1, bound // ranks)


def _formats(pool: Pool) -> list[Argument]:
    return format_arguments(pool, QUANTIZATION)


def _experts(pool: Pool) -> list[Argument]:
    layout, redundant = pool.scenario.parallel, pool.scenario.experts.redundant
    if layout.expert == 1 or layout.expert != layout.tensor * layout.data:
        return []
    found = [Argument("--enable-expert-parallel", (), (pool.origin("parallel.expert"),))]
    if redundant is not None:
        config = json.dumps({"num_redundant_experts": redundant})
        found += [Argument("--enable-eplb"), Argument("--eplb-config", (config,), ("experts.redundant",))]
    return found


def _speculation(pool: Pool) -> list[Argument]:
    tokens, draft = chain_length(pool), pool.scenario.speculation.draft
    if tokens is None:
        return []
    fields = ["speculation.policy", "speculation.options.tokens", "speculation.draft.source"]
    config: dict[str, object] = {"num_speculative_tokens": tokens}
    if draft.source == "n-gram":
        config["method"] = "ngram"
    elif draft.source == "mtp":
        config["method"] = "mtp"
    else:
        found = draft_model(pool)
        if found is None:
            return []
        config |= {"method": "draft_model", "model": found.model}
        fields.append("speculation.draft.options.model")
        if found.tensor in (1, pool.scenario.parallel.tensor):
            config["draft_tensor_parallel_size"] = found.tensor
            fields.append("speculation.draft.options.tensor")
    return [Argument("--speculative-config", (json.dumps(config, sort_keys=True),), tuple(fields))]


def _adapters(pool: Pool) -> list[Argument]:
    given = pool.scenario.adapters
    if given is None or given.experts is not None or given.policy not in ("unified", "static"):
        return []
    if max(given.ranks) > LORA_RANKS[-1]:
        return []
    rank = next(rank for rank in LORA_RANKS if rank >= max(given.ranks))
    found = [
        Argument("--enable-lora"),
        Argument("--max-lora-rank", (str(rank),), ("adapters.ranks",)),
        Argument("--max-cpu-loras", (str(given.count),), ("adapters.count",)),
        Argument("--lora-target-modules", tuple(f"{t}_proj" for t in given.targets), ("adapters.targets",)),
    ]
    if given.policy == "static":
        slots = build_policy("adapters", given.policy, given.options).slots
        found.append(Argument("--max-loras", (str(slots),), ("adapters.policy", "adapters.options.slots")))
    return found


def _tiers(pool: Pool) -> list[Argument]:
    found = host_tier(pool)
    if found is None or pool.role != "mixed":
        return []
    place, capacity = found
    size = f"{capacity / pool.scenario.parallel.data / GIB!r}"
    fields = (f"kv_cache.tiers.{place}.name", f"kv_cache.tiers.{place}.capacity_gb")
    return [Argument("--kv-offloading-size", (size,), fields), Argument("--kv-offloading-backend", ("native",))]


def _admission(pool: Pool) -> list[Argument]:
    """vLLM counts running requests too, of all its data-parallel ranks."""
    given = pool.scenario.admission
    if given.policy != "queue-limit" or pool.role == "decode":
        return []
    limit = build_policy("admission", given.policy, given.options).limit
    ranks = pool.scenario.parallel.data
    running = _each(pool.scenario.batching.max_num_seqs, ranks) * ranks
    return [Argument("--max-num-queued-reqs", (str(limit + running),), ("admission.policy", "admission.options.limit"))]


def _transfer(pool: Pool) -> list[Argument]:
    """NIXL takes no notice of the role, which the router gives; it tells a reader what a server is for."""
    if pool.role == "mixed":
        return []
    role = "kv_producer" if pool.role == "prefill" else "kv_consumer"
    return [Argument("--kv-transfer-config", (json.dumps({"kv_connector": "NixlConnector", "kv_role": role}),))]
