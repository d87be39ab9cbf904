"""From what a training scenario says of communication to what a job knows of it."""

from __future__ import annotations

from simulator.policies.registry import build_policy
from simulator.specs.training import BucketSpec, CommunicationSpec
from simulator.workloads.dtypes import DType, dtype
from simulator.workloads.training.communication import Communication, LocalSteps, Shards, Transport


def communication_of(spec: CommunicationSpec) -> Communication:
    """Raises `InputError` for unknown formats and policies."""
    transport = spec.transport
    return Communication(
        _bucket(spec.overlap_gradients),
        _bucket(spec.overlap_weights),
        spec.prefetch,
        spec.units,
        None if spec.shards is None else Shards(**spec.shards.model_dump()),
        Transport(
            _format(transport.weights), _format(transport.secondary), _format(transport.gradients), transport.hop
        ),
        build_policy("compression", spec.compression.policy, spec.compression.options),
        build_policy("tensor-overlap", spec.tensor.policy, spec.tensor.options),
        None if spec.local is None else LocalSteps(spec.local.steps, spec.local.overlapped),
    )


def _bucket(spec: BucketSpec | None) -> float | None:
    return None if spec is None else spec.bucket_mb * 1e6


def _format(name: str | None) -> DType | None:
    return None if name is None else dtype(name)
