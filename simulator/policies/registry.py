"""Policies by name. A name is one of these, or `module:Class` from the user's own code."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.policies.options import check_options

POLICIES: dict[str, dict[str, str]] = {
    "batching": {
        "vllm-v1": "simulator.policies.batching:VllmV1",
        "vllm-v0": "simulator.policies.batching:PrefillFirst",
        "orca": "simulator.policies.batching:Orca",
        "static": "simulator.policies.batching:Static",
        "sarathi": "simulator.policies.batching:Sarathi",
        "split-fuse": "simulator.policies.batching:SplitFuse",
        "decode-first": "simulator.policies.batching:DecodeFirst",
    },
    "queue": {
        "fcfs": "simulator.policies.queueing:FirstComeFirstServed",
        "sjf": "simulator.policies.queueing:ShortestJobFirst",
        "srpt": "simulator.policies.queueing:ShortestRemainingFirst",
        "priority": "simulator.policies.queueing:Priority",
        "updated-priority": "simulator.policies.queueing:UpdatedPriority",
        "mlfq": "simulator.policies.queueing:SkipJoinFeedback",
        "vtc": "simulator.policies.queueing:VirtualTokenCounter",
        "edf": "simulator.policies.queueing:EarliestDeadlineFirst",
        "prefix-groups": "simulator.policies.queueing:PrefixGroups",
    },
    "predictor": {
        "exact": "simulator.policies.queueing.prediction:Exact",
        "noisy": "simulator.policies.queueing.prediction:Noisy",
        "bucketed": "simulator.policies.queueing.prediction:Bucketed",
    },
    "execution": {
        "sequential": "simulator.policies.execution:Sequential",
        "nano-batches": "simulator.policies.execution:NanoBatches",
    },
    "router": {
        "round-robin": "simulator.policies.routing:RoundRobin",
        "random": "simulator.policies.routing:Random",
        "least-outstanding": "simulator.policies.routing:LeastOutstanding",
        "shortest-queue": "simulator.policies.routing:ShortestQueue",
        "power-of-two": "simulator.policies.routing:PowerOfTwo",
        "kv-utilisation": "simulator.policies.routing:KVUtilisation",
        "prefix-affinity": "simulator.policies.routing:PrefixAffinity",
        "session-affinity": "simulator.policies.routing:SessionAffinity",
        "adapter-affinity": "simulator.policies.routing:AdapterAffinity",
        "weighted": "simulator.policies.routing:Weighted",
        "priority-classes": "simulator.policies.routing:PriorityClasses",
        "predicted-cost": "simulator.policies.routing:PredictedCost",
    },
    "split": {
        "fixed": "simulator.policies.splitting:Fixed",
        "feedback": "simulator.policies.splitting:Feedback",
        "proactive": "simulator.policies.splitting:Proactive",
    },
    "adapters": {
        "unified": "simulator.policies.adapters:Unified",
        "static": "simulator.policies.adapters:Static",
        "merged": "simulator.policies.adapters:Merged",
        "switching": "simulator.policies.adapters:Switching",
    },
    "admission": {
        "all": "simulator.policies.admission:All",
        "queue-limit": "simulator.policies.admission:QueueLimit",
        "predicted-wait": "simulator.policies.admission:PredictedWait",
        "token-bucket": "simulator.policies.admission:TokenBucket",
    },
    "autoscaler": {
        "fixed": "simulator.policies.autoscaling:Fixed",
        "queue-based": "simulator.policies.autoscaling:QueueBased",
        "utilisation": "simulator.policies.autoscaling:Utilisation",
        "scheduled": "simulator.policies.autoscaling:Scheduled",
    },
    "migration": {
        "none": "simulator.policies.migration:NoMigration",
        "llumnix": "simulator.policies.migration:Llumnix",
    },
    "power": {
        "none": "simulator.policies.power:NoCapping",
        "polca": "simulator.policies.power:Polca",
        "uniform": "simulator.policies.power:Uniform",
    },
    "elastic": {
        "restart": "simulator.policies.elastic:Restart",
        "drop-replicas": "simulator.policies.elastic:DropReplicas",
        "reroute": "simulator.policies.elastic:Reroute",
        "reshard": "simulator.policies.elastic:Reshard",
    },
    "rounds": {
        "wait-for-all": "simulator.policies.rounds:WaitForAll",
        "backup-workers": "simulator.policies.rounds:BackupWorkers",
        "dynamic-backup": "simulator.policies.rounds:DynamicBackupWorkers",
        "gradient-coding": "simulator.policies.rounds:GradientCoding",
        "sequential-gradient-coding": "simulator.policies.rounds:SequentialGradientCoding",
    },
    "federated": {
        "synchronous": "simulator.policies.federated:Synchronous",
        "asynchronous": "simulator.policies.federated:Asynchronous",
        "buffered": "simulator.policies.federated:Buffered",
        "polling": "simulator.policies.federated:Polling",
    },
    "upload": {
        "dense": "simulator.policies.upload:Dense",
        "fedzip": "simulator.policies.upload:FedZip",
    },
    "synchronisation": {
        "every-step": "simulator.policies.synchronisation:EveryStep",
        "local-sgd": "simulator.policies.synchronisation:LocalSgd",
        "diloco": "simulator.policies.synchronisation:DiLoCo",
        "streaming-diloco": "simulator.policies.synchronisation:StreamingDiLoCo",
    },
    "local-steps": {
        "equal": "simulator.policies.local_steps:Equal",
        "by-speed": "simulator.policies.local_steps:BySpeed",
    },
    "consistency": {
        "bulk-synchronous": "simulator.policies.consistency:BulkSynchronous",
        "stale-synchronous": "simulator.policies.consistency:StaleSynchronous",
        "asynchronous": "simulator.policies.consistency:Asynchronous",
        "batch-asynchronous": "simulator.policies.consistency:BatchAsynchronous",
    },
    "roles": {
        "fixed": "simulator.policies.roles:Fixed",
        "queue-and-cache": "simulator.policies.roles:QueueAndCache",
        "attainment": "simulator.policies.roles:Attainment",
        "scheduled": "simulator.policies.roles:Scheduled",
    },
    "pairing": {
        "accellm": "simulator.policies.pairing:AcceLLM",
    },
    "plan": {
        "single": "simulator.policies.plans:Single",
        "route": "simulator.policies.plans:Routed",
        "cascade": "simulator.policies.plans:Escalation",
        "minions": "simulator.policies.plans:MinionS",
        "chat": "simulator.policies.plans:Chat",
        "ensemble": "simulator.policies.plans:Ensemble",
        "by-model": "simulator.policies.plans:ByModel",
    },
    "turns": {
        "longest-waiting": "simulator.policies.turns:LongestWaiting",
    },
    "speculation": {
        "none": "simulator.policies.speculation:NoSpeculation",
        "fixed": "simulator.policies.speculation:Fixed",
        "smartspec": "simulator.policies.speculation:SmartSpec",
        "bild": "simulator.policies.speculation:BigLittle",
        "triforce": "simulator.policies.speculation:Hierarchical",
    },
    "draft": {
        "model": "simulator.policies.speculation:DraftModel",
        "mtp": "simulator.policies.speculation:PredictionHead",
        "early-exit": "simulator.policies.speculation:EarlyExit",
        "n-gram": "simulator.policies.speculation:NGram",
    },
    "acceptance": {
        "constant": "simulator.policies.speculation:Constant",
        "beta": "simulator.policies.speculation:Beta",
        "curve": "simulator.policies.speculation:Curve",
    },
    "finetuning": {
        "none": "simulator.policies.finetuning:NoFinetuning",
        "co-serving": "simulator.policies.finetuning:CoServing",
        "temporal": "simulator.policies.finetuning:Temporal",
        "idle": "simulator.policies.finetuning:Idle",
    },
    "eviction": {
        "lru": "simulator.policies.kv_cache.eviction:Lru",
        "lfu": "simulator.policies.kv_cache.eviction:Lfu",
        "cost-aware": "simulator.policies.kv_cache.eviction:CostAware",
    },
    "offload": {
        "zero-offload": "simulator.policies.offload:ZeroOffload",
        "zero-infinity": "simulator.policies.offload:ZeroInfinity",
        "fuyou": "simulator.policies.offload:Fuyou",
        "pipe-offload": "simulator.policies.offload:PipeOffload",
        "deep-optimizer-states": "simulator.policies.offload:DeepOptimizerStates",
        "selective": "simulator.policies.offload:Selective",
    },
    "schedule": {
        "gpipe": "simulator.policies.pipeline:GPipe",
        "1f1b": "simulator.policies.pipeline:OneForwardOneBackward",
        "interleaved": "simulator.policies.pipeline:Interleaved",
        "zero-bubble": "simulator.policies.pipeline:ZeroBubble",
        "zero-bubble-v": "simulator.policies.pipeline:ZeroBubbleV",
        "dualpipe": "simulator.policies.pipeline:DualPipe",
    },
    "partition": {
        "equal": "simulator.policies.partition:Equal",
        "proportional": "simulator.policies.partition:Proportional",
        "minimax": "simulator.policies.partition:Minimax",
    },
    "context": {
        "ring": "simulator.policies.context:Ring",
        "ulysses": "simulator.policies.context:Ulysses",
        "head-context": "simulator.policies.context:HeadContext",
        "token-ring": "simulator.policies.context:TokenRing",
        "rsa": "simulator.policies.context:SelfAttentionRing",
    },
    "packing": {
        "in-order": "simulator.policies.packing:InOrder",
        "balanced": "simulator.policies.packing:Balanced",
        "flexible-groups": "simulator.policies.packing:FlexibleGroups",
        "dynamic-mesh": "simulator.policies.packing:DynamicMesh",
    },
    "paths": {
        "ecmp": "simulator.policies.paths:Ecmp",
        "spraying": "simulator.policies.paths:Spraying",
        "planned": "simulator.policies.paths:Planned",
        "minimal-splitting": "simulator.policies.paths:MinimalSplitting",
    },
    "tensor-overlap": {
        "serial": "simulator.policies.tensor_overlap:Serial",
        "tiles": "simulator.policies.tensor_overlap:Tiles",
        "half-batches": "simulator.policies.tensor_overlap:HalfBatches",
    },
    "compression": {
        "none": "simulator.policies.compression:NoCompression",
        "one-bit-adam": "simulator.policies.compression:OneBitAdam",
        "deep-gradient-compression": "simulator.policies.compression:DeepGradientCompression",
        "power-sgd": "simulator.policies.compression:PowerSgd",
        "quantised": "simulator.policies.compression:Quantised",
        "sketch": "simulator.policies.compression:CountSketch",
    },
    "order": {
        "given": "simulator.workloads.graphs.memory.ordering:Given",
        "least-memory": "simulator.workloads.graphs.memory.ordering:LeastMemory",
    },
    "arena": {
        "greedy-by-size": "simulator.workloads.graphs.memory.arena:GreedyBySize",
        "in-order": "simulator.workloads.graphs.memory.arena:InOrder",
    },
    "next-stage": {
        "always": "simulator.policies.stages.routing:Always",
        "probabilistic": "simulator.policies.stages.routing:Probabilistic",
        "by-threshold": "simulator.policies.stages.routing:ByThreshold",
        "by-class": "simulator.policies.stages.routing:ByClass",
        "every-nth": "simulator.policies.stages.routing:EveryNth",
        "fastest": "simulator.policies.stages.routing:Fastest",
        "by-queue": "simulator.policies.stages.routing:ByQueue",
        "adaptive-rate": "simulator.policies.stages.routing:AdaptiveRate",
        "remembered": "simulator.policies.stages.recurring:Remembered",
        "repeat": "simulator.policies.stages.recurring:Repeat",
    },
    "full-queue": {
        "drop-newest": "simulator.policies.stages.queues:DropNewest",
        "drop-oldest": "simulator.policies.stages.queues:DropOldest",
        "drop-latest-deadline": "simulator.policies.stages.queues:DropLatestDeadline",
        "drop-least-urgent": "simulator.policies.stages.queues:DropLeastUrgent",
        "block": "simulator.policies.stages.queues:Block",
    },
    "configuration": {
        "fixed": "simulator.policies.stages.configuration:Fixed",
        "meet-deadline": "simulator.policies.stages.configuration:MeetDeadline",
    },
    "rewrite": {
        "adapt": "simulator.workloads.graphs.rewrites:Adapt",
        "autocast": "simulator.workloads.graphs.rewrites:Autocast",
        "bottleneck": "simulator.workloads.graphs.rewrites:Bottleneck",
        "cache-steps": "simulator.workloads.graphs.rewrites:CacheSteps",
        "convert": "simulator.workloads.graphs.rewrites:Convert",
        "convert-layouts": "simulator.workloads.graphs.rewrites:ConvertLayouts",
        "convert-cache": "simulator.workloads.graphs.rewrites:ConvertCache",
        "drop": "simulator.workloads.graphs.rewrites:Drop",
        "early-exit": "simulator.workloads.graphs.rewrites:EarlyExit",
        "factorise": "simulator.workloads.graphs.rewrites:Factorise",
        "fold": "simulator.workloads.graphs.rewrites:Fold",
        "fuse": "simulator.workloads.graphs.rewrites:Fuse",
        "skip-norm": "simulator.workloads.graphs.rewrites:SkipNorm",
        "block-channels": "simulator.workloads.graphs.rewrites:BlockChannels",
        "fuse-attention": "simulator.workloads.graphs.rewrites:FuseAttention",
        "fuse-blocks": "simulator.workloads.graphs.rewrites:FuseBlocks",
        "fuse-norms": "simulator.workloads.graphs.rewrites:FuseNorms",
        "fuse-side-by-side": "simulator.workloads.graphs.rewrites:FuseSideBySide",
        "join-biases": "simulator.workloads.graphs.rewrites:JoinBiases",
        "look-up": "simulator.workloads.graphs.rewrites:LookUp",
        "merge-tokens": "simulator.workloads.graphs.rewrites:MergeTokens",
        "prune": "simulator.workloads.graphs.rewrites:Prune",
        "prune-channels": "simulator.workloads.graphs.rewrites:PruneChannels",
        "prune-positions": "simulator.workloads.graphs.rewrites:PrunePositions",
        "quantise": "simulator.workloads.graphs.rewrites:Quantise",
        "re-parameterise": "simulator.workloads.graphs.rewrites:Reparameterise",
        "skip-guidance": "simulator.workloads.graphs.rewrites:SkipGuidance",
        "sparse-attention": "simulator.workloads.graphs.rewrites:SparseAttention",
        "split-biases": "simulator.workloads.graphs.rewrites:SplitBiases",
        "split-attention": "simulator.workloads.graphs.rewrites:SplitAttention",
        "stream-batch": "simulator.workloads.graphs.rewrites:StreamBatch",
        "strides": "simulator.workloads.graphs.rewrites:Strides",
        "train": "simulator.workloads.graphs.rewrites:Train",
        "side-network": "simulator.workloads.graphs.rewrites:SideNetwork",
        "lite-residual": "simulator.workloads.graphs.rewrites:LiteResidual",
        "filter-gradients": "simulator.workloads.graphs.rewrites:FilterGradients",
        "patch": "simulator.workloads.graphs.rewrites:Patch",
    },
    "parallel": {
        "patches": "simulator.policies.parallel:Patches",
        "patch-pipeline": "simulator.policies.parallel:PatchPipeline",
        "asynchronous-stages": "simulator.policies.parallel:AsynchronousStages",
    },
    "reuse": {
        "prefix": "simulator.policies.kv_cache.reuse:ExactPrefix",
        "chunk-reuse": "simulator.policies.kv_cache.reuse:ChunkReuse",
    },
}

# Parameters that the simulator gives to a policy that asks for them; a user's options cannot.
GIVEN = ("rng", "objective_ttft_ms", "objective_tpot_ms", "streams", "objectives", "pools")


def policy_class(kind: str, name: str) -> type[Any]:
    """The class of a policy of this kind. Raises `InputError` if there is none."""
    if ":" not in name and name not in POLICIES[kind]:
        raise unknown_name(f"{kind} policy", name, POLICIES[kind], remedy="(or module:Class of your own)")
    module_name, _, class_name = POLICIES[kind].get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{kind} policy {name!r} cannot be imported: {error}") from None
    if not callable(found):
        raise InputError(f"{kind} policy {name!r} is not a class")
    return found  # type: ignore[no-any-return]


def build_policy(kind: str, name: str, options: dict[str, Any], **given: Any) -> Any:
    """An instance of the policy with the user's `options`; `given` is passed where the class asks for it."""
    found = policy_class(kind, name)
    try:
        accepted = {p.name: p for p in inspect.signature(found).parameters.values()}
    except (TypeError, ValueError):
        raise InputError(f"{kind} policy {name!r} is not a class of a policy") from None
    for option in options:
        if option not in accepted or option in given:
            if not set(accepted) - set(given):
                raise InputError(f"{kind} policy {name} takes no options: leave {option} out")
            raise unknown_name(f"option of {kind} policy {name}", option, set(accepted) - set(given))
    check_options(f"{kind} policy {name}", found, options)
    needed = [n for n, p in accepted.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    for option in needed:
        if option not in options and option not in given:
            raise InputError(f"{kind} policy {name}: its option {option} is missing: add it")
    try:
        return found(**options, **{k: v for k, v in given.items() if k in accepted})
    except TypeError as error:
        shown = ", ".join(f"{option} {value!r}" for option, value in options.items())
        raise InputError(f"{kind} policy {name}: an option is not of its kind ({shown}): {error}") from None
    except ValueError as error:
        raise InputError(f"{kind} policy {name}: {error}") from None
