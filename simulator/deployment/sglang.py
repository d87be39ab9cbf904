"""Server arguments of SGLang for one pool of replicas.

Names, values and meanings: SGLang 0.5.23, `python/sglang/srt/server_args.py` and `arg_groups/` (docs.sglang.io, "Server
Arguments" and "PD Disaggregation").
"""

from __future__ import annotations

from simulator.deployment.flags import Argument, Flag, stated
from simulator.deployment.formats import format_arguments
from simulator.deployment.pools import Pool
from simulator.deployment.settings import GB, chain_length, draft_model, host_tier, is_eager
from simulator.policies.registry import build_policy

NAME = "SGLang"
RUNS_ON = (
    ("nvidia", "gpu"), ("amd", "gpu"), ("intel", "gpu"), ("intel", "cpu"), ("google", "npu"), ("huawei", "npu"),
)  # fmt: skip
# srt/arg_groups/choices.py, QUANTIZATION_CHOICES
QUANTIZATION = {
    "fp8": "fp8", "fp8_dynamic": "w8a8_fp8", "int8": "w8a8_int8", "int4": "awq", "nvfp4": "modelopt_fp4",
    "mxfp4": "mxfp4",
}  # fmt: skip

FLAGS = (
    Flag("parallel.pipeline", "--pp-size", always=False, usual=1),
    Flag("batching.max_num_seqs", "--max-running-requests"),
    Flag("kv_cache.memory_utilization", "--mem-fraction-static", float),
    Flag("kv_cache.block_size", "--page-size"),
    Flag("kv_cache.prefix_caching", "", bool, off="--disable-radix-cache"),
    Flag("precision.kv_cache", "--kv-cache-dtype", str, values={"fp8": "fp8_e4m3", "bf16": "bfloat16"}),
)

LACKS = {
    "engine": "SGLang is launched, whatever engine's kernels and overheads the times are of",
    "device": "SGLang has no backend for this device",
    "model": "a description of one's own is not a checkpoint: put the checkpoint's name in its place",
    "precision": "SGLang has no name for these formats together",
    **dict.fromkeys(
        ("batching.max_num_batched_tokens", "disaggregation.batching.max_num_batched_tokens", "kv_cache.blocks",
         "admission.options.limit"),
        "SGLang bounds each data-parallel rank: its part is rounded down",
    ),
    "batching": "SGLang puts prompts first (vllm-v0) or mixes chunks with decoding (vllm-v1), without options",
    "disaggregation.batching": "SGLang puts prompts first (vllm-v0) or mixes chunks with decoding (vllm-v1)",
    "queue": "SGLang has no such queue (lpm, dfs-weight, lof and hrrn are its own)",
    "kv_cache.swap": "SGLang computes retracted sequences again and swaps none",
    "kv_cache.tiers": "HiCache has sizes in whole GB a rank and backends of its own for what is below host memory",
    "kv_cache": "SGLang's radix cache has no such setting",
    "execution": "SGLang has no such policy (--enable-two-batch-overlap overlaps two batches of data-parallel experts)",
    "speculation": "SGLang drafts chains of one length, by n-grams, a draft model or the model's own MTP layers",
    "adapters": "SGLang mixes LoRAs, kept in --max-loras-per-batch slots",
    "admission": "SGLang refuses requests by the number that wait, and that not with prefill and decode apart",
    "experts": "SGLang has no such setting for experts",
    "router": "SGLang's router has no such policy",
    "autoscaling": "SGLang does not start or stop servers; Kubernetes does, by metrics of the servers",
    "migration": "SGLang does not move running sequences",
    "partition": "SGLang has no such split of a device's units (--enable-pdmux divides them in its own groups)",
    "pairing": "SGLang has no pairs of replicas",
    "shared_prefix_tokens": "SGLang has no switch for reading a shared prefix once",
    "disaggregation.roles": "servers keep their roles until they are restarted",
    "disaggregation.transfer": "NIXL chooses its links (UCX_NET_DEVICES) and sends caches as they are",
    "disaggregation.router": "SGLang's router has no such policy",
}  # fmt: skip


def arguments(pool: Pool) -> list[Argument]:
    """What `python -m sglang.launch_server --model-path MODEL` is told for a replica of this pool."""
    composed = (
        _layout, _batching, _queue, _blocks, _formats, _experts, _speculation, _adapters, _tiers, _admission, _transfer,
    )  # fmt: skip
    found = stated(FLAGS, pool) + [argument for compose in composed for argument in compose(pool)]
    return [*found, Argument("--disable-cuda-graph")] if is_eager(pool) else found


def notes(pool: Pool) -> list[str]:
    """Remarks on what is said, for whoever launches it."""
    found = []
    if pool.scenario.engine == "vllm":
        found.append("the times are of vLLM's kernels and overheads: set engine to sglang to predict SGLang's")
    weights = QUANTIZATION.get(pool.scenario.precision.weights or "")
    if weights and weights != "fp8":
        found.append(f"--quantization {weights} loads a checkpoint of that kind: put its name in the model's place")
    if pool.scenario.adapters is not None and pool.scenario.adapters.policy == "unified":
        found.append("SGLang keeps adapters in slots and not in pages: set --max-loras-per-batch, 8 otherwise")
    return found


def _layout(pool: Pool) -> list[Argument]:
    """SGLang's tensor parallelism counts the attention groups of data parallelism too."""
    layout, origin = pool.scenario.parallel, pool.origin
    found = [Argument("--tp-size", (str(layout.tensor * layout.data),), (origin("parallel.tensor"),))]
    if layout.data > 1:
        found += [
            Argument("--dp-size", (str(layout.data),), (origin("parallel.data"),)),
            Argument("--enable-dp-attention"),
        ]
    if layout.expert > 1:
        found.append(Argument("--ep-size", (str(layout.expert),), (origin("parallel.expert"),)))
    return found


def _batching(pool: Pool) -> list[Argument]:
    """SGLang itself gives each rank its part of the chunk, as of running requests, but not of anything else."""
    given, origin = pool.scenario.batching, pool.origin
    policy, tokens = origin("batching.policy"), origin("batching.max_num_batched_tokens")
    if given.policy == "vllm-v0":
        whole = Argument("--chunked-prefill-size", ("-1",), (policy,))
        return [whole, _of_rank("--max-prefill-tokens", given.max_num_batched_tokens, pool, tokens)]
    chunk = ("--chunked-prefill-size", (str(given.max_num_batched_tokens),))
    if given.policy == "vllm-v1":
        return [Argument(*chunk, (policy, tokens)), Argument("--enable-mixed-chunk")]
    return [Argument(*chunk, (tokens,))]


def _of_rank(name: str, bound: int, pool: Pool, field: str, unit: int = 1, more: tuple[str, ...] = ()) -> Argument:
    """Each data-parallel rank's part of a replica's bound, rounded down, in a flag that counts `unit` for each."""
    part, left = divmod(bound, pool.scenario.parallel.data)
    values = (str(max(1, part) * unit),)
    return Argument(name, values, more, (field,)) if left else Argument(name, values, (*more, field))


def _queue(pool: Pool) -> list[Argument]:
    given = pool.scenario.queue
    if given.policy == "fcfs":
        return [Argument("--schedule-policy", ("fcfs",), ("queue.policy",))]
    if given.policy != "priority":
        return []
    found = [Argument("--enable-priority-scheduling", (), ("queue.policy", "queue.options.larger_first"))]
    larger = given.options.get("larger_first", False)
    return found if larger else [*found, Argument("--schedule-low-priority-values-first")]


def _blocks(pool: Pool) -> list[Argument]:
    given = pool.scenario.kv_cache
    if given.blocks is None:
        return []
    return [_of_rank("--max-total-tokens", given.blocks, pool, "kv_cache.blocks", unit=given.block_size)]


def _formats(pool: Pool) -> list[Argument]:
    return format_arguments(pool, QUANTIZATION)


def _experts(pool: Pool) -> list[Argument]:
    redundant = pool.scenario.experts.redundant
    if redundant is None or pool.scenario.parallel.expert == 1:
        return []
    return [
        Argument("--enable-eplb"),
        Argument("--ep-num-redundant-experts", (str(redundant),), ("experts.redundant",)),
    ]


def _speculation(pool: Pool) -> list[Argument]:
    """A chain of k tokens is k steps of one candidate each, and k + 1 tokens that are verified."""
    tokens, source = chain_length(pool), pool.scenario.speculation.draft.source
    if tokens is None:
        return []
    fields = ("speculation.policy", "speculation.options.tokens")
    if source == "n-gram":
        return [
            Argument("--speculative-algorithm", ("NGRAM",), ("speculation.draft.source",)),
            Argument("--speculative-num-draft-tokens", (str(tokens + 1),), fields),
        ]
    chain = [
        Argument("--speculative-num-steps", (str(tokens),), fields),
        Argument("--speculative-eagle-topk", ("1",)),
        Argument("--speculative-num-draft-tokens", (str(tokens + 1),)),
    ]
    if source == "mtp":
        return [Argument("--speculative-algorithm", ("NEXTN",), ("speculation.draft.source",)), *chain]
    found = draft_model(pool)
    if found is None:
        return []
    return [
        Argument("--speculative-algorithm", ("STANDALONE",), ("speculation.draft.source",)),
        Argument("--speculative-draft-model-path", (found.model,), ("speculation.draft.options.model",)),
        *chain,
    ]


def _adapters(pool: Pool) -> list[Argument]:
    given = pool.scenario.adapters
    if given is None or given.experts is not None or given.policy not in ("unified", "static"):
        return []
    found = [
        Argument("--enable-lora"),
        Argument("--max-lora-rank", (str(max(given.ranks)),), ("adapters.ranks",)),
        Argument("--max-loaded-loras", (str(given.count),), ("adapters.count",)),
        Argument("--lora-target-modules", tuple(f"{t}_proj" for t in given.targets), ("adapters.targets",)),
    ]
    if given.policy == "static":
        slots = build_policy("adapters", given.policy, given.options).slots
        found.append(Argument("--max-loras-per-batch", (str(slots),), ("adapters.policy", "adapters.options.slots")))
    return found


def _tiers(pool: Pool) -> list[Argument]:
    found = host_tier(pool)
    if found is None:
        return []
    place, capacity = found
    size = round(capacity / GB / pool.devices)
    if size < 1:
        return []
    fields = (f"kv_cache.tiers.{place}.name", f"kv_cache.tiers.{place}.capacity_gb")
    exact = 2 if size * GB * pool.devices == capacity else 1
    return [
        Argument("--enable-hierarchical-cache"),
        Argument("--hicache-size", (str(size),), fields[:exact], fields[exact:]),
    ]


def _admission(pool: Pool) -> list[Argument]:
    given = pool.scenario.admission
    if given.policy != "queue-limit" or pool.role != "mixed":
        return []
    limit = build_policy("admission", given.policy, given.options).limit
    return [_of_rank("--max-queued-requests", limit, pool, "admission.options.limit", more=("admission.policy",))]


def _transfer(pool: Pool) -> list[Argument]:
    if pool.role == "mixed":
        return []
    return [Argument("--disaggregation-mode", (pool.role,)), Argument("--disaggregation-transfer-backend", ("nixl",))]
