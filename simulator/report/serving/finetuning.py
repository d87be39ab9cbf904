"""Figures of fine-tuning beside serving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.engine.finetuning import FinetuningRecord
    from simulator.engine.memory import FinetuningMemory
    from simulator.experiment import Result


def finetuning_figures(result: Result, record: FinetuningRecord) -> dict[str, Any]:
    """Tokens of both passes, from the start to the last request's end, and what the same devices do without requests.

    A backward token is one through all layers. Throughput counts tokens that have been through both passes.
    """
    spec = result.scenario.finetuning
    assert spec is not None
    seconds = float(result.request_columns["finish_s"].max())
    forward = sum(p.forward_tokens for p in record.progress)
    backward = sum(p.backward_pairs / p.layers for p in record.progress)
    memory = next(m for pool in result.pools if (m := pool.deployment.memory.finetuning) is not None)
    whole = _alone_tokens_per_s(result, record)
    replicas = result.scenario.replicas + spec.dedicated_replicas
    return {
        "policy": spec.policy,
        "dedicated_replicas": spec.dedicated_replicas,
        "tokens_per_s": backward / seconds,
        "tokens_per_s_per_replica_alone": whole,
        "share_of_all_devices_alone": backward / seconds / (whole * replicas),
        "forward_tokens": forward,
        "backward_tokens": backward,
        "in_flight_tokens": forward - backward,
        "sequences": sum(p.sequences for p in record.progress),
        "optimiser_steps": sum(p.sequences // p.sequences_per_step for p in record.progress),
        "memory_per_device_gb": _memory(memory),
    }


def _alone_tokens_per_s(result: Result, record: FinetuningRecord) -> float:
    """Tokens a second of one replica on whole devices that does nothing else."""
    from simulator.assembly.finetuning import timer_of
    from simulator.assembly.pools import deployment_of
    from simulator.engine.finetuning import dedicated_tokens_per_s

    spec = result.scenario.finetuning
    assert spec is not None
    whole = result.deployment if spec.spatial is None else deployment_of(result.scenario)
    return dedicated_tokens_per_s(timer_of(spec, whole), record.progress[0])


def _memory(memory: FinetuningMemory) -> dict[str, float]:
    return {
        "activations": memory.kept / 1e9,
        "activations_without_pruning": memory.unpruned / 1e9,
        "workspace": memory.workspace / 1e9,
        "adapter_with_optimiser": memory.adapter / 1e9,
    }


def finetuning_lines(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, value and unit of the headline figures."""
    memory = figures["memory_per_device_gb"]
    yield (
        "fine-tuning throughput",
        f"{figures['tokens_per_s']:,.1f}",
        f"tokens/s, {figures['share_of_all_devices_alone']:.2%} of all devices fine-tuning alone",
    )
    yield (
        "fine-tuning memory",
        f"{sum(memory.values()) - memory['activations_without_pruning']:,.2f}",
        f"GB a device, {memory['activations']:,.2f} of activations "
        f"({memory['activations_without_pruning']:,.2f} without pruning)",
    )
