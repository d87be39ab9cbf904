"""What systems call a device: the variable that shows devices to a process, and the resource of a Kubernetes node."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.hardware.device import device
from simulator.hardware.node import node

# Largest number of devices that one operating system usually has; larger nodes are racks of several servers.
MOST_PER_SERVER = 16


@dataclass(frozen=True, slots=True)
class Accelerator:
    """The environment variable that lists visible devices ("" if there is none), and the Kubernetes resource."""

    visible: str = ""
    resource: str = ""


# CUDA and ROCm documentation (environment variables), Level Zero specification (ZE_AFFINITY_MASK), Ascend CANN
# documentation, and the device plugins of the vendors for Kubernetes.
ACCELERATORS = {
    ("nvidia", "gpu"): Accelerator("CUDA_VISIBLE_DEVICES", "nvidia.com/gpu"),
    ("amd", "gpu"): Accelerator("HIP_VISIBLE_DEVICES", "amd.com/gpu"),
    ("intel", "gpu"): Accelerator("ZE_AFFINITY_MASK", "gpu.intel.com/xe"),
    ("huawei", "npu"): Accelerator("ASCEND_RT_VISIBLE_DEVICES", "huawei.com/Ascend910"),
    ("google", "npu"): Accelerator("TPU_VISIBLE_CHIPS", "google.com/tpu"),
    ("aws", "npu"): Accelerator("NEURON_RT_VISIBLE_CORES", "aws.amazon.com/neuron"),
}


def kind_of(name: str) -> tuple[str, str]:
    """Vendor and kind of a device. Raises `InputError` for an unknown one."""
    found = device(name)
    return found.vendor, found.kind


def accelerator(name: str) -> Accelerator:
    """How a device is named to processes; of one that has no such names, empty texts."""
    return ACCELERATORS.get(kind_of(name), Accelerator())


def per_server(device_name: str, node_name: str | None) -> int | None:
    """Devices of one node, None where the device comes in none."""
    name = node_name or device(device_name).node
    return node(name).devices_per_node if name else None
