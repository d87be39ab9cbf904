"""How a tensor crosses between a device and its host: from and to pinned memory, or through pageable memory.

What PyTorch copies between formats, or from and to memory that is not pinned, goes through the driver's pinned buffer,
out of or into which one thread copies; formats are converted by the processors in a further pass.
"""

from __future__ import annotations

from typing import NamedTuple

from simulator.engine.training.ending import FP32
from simulator.policies.offload.plan import Copying, Plan
from simulator.workloads.training.job import Job

# Bytes/s of one thread that copies into memory whose pages are mapped as it writes. DeepSpeed 0.13 sent 16-bit
# gradients so at 3.7 GB/s, on one H100 (11.9 GB) and on each of four A100 (5.7 GB): what its backward passes took
# longer than those of the same run with pinned copies beside them, 4.75 against 1.55 s and 2.97 against 1.43 s in the
# logs of github.com/DataStates/artifacts and github.com/mauryaavinash95/deep-optimizer-states-results.
NEW_PAGES = 3.7e9
# Bytes/s of one thread that copies from memory that is mapped: pageable copies of 16 to 64 MiB to an RTX 4090
# (github.com/NVlabs/cuda-oxide, pull request 976: 13 to 18 GB/s where pinned ones reach 24).
MAPPED_PAGES = 13.0e9


class Crossing(NamedTuple):
    """Bytes over the link and of host memory, and seconds of the one thread that copies them (0: none is needed)."""

    link: float
    host: float
    thread: float

    def over(self, direction: str) -> dict[str, float]:
        """What a copy "up" or "down" demands of the channels that it crosses."""
        used = {direction: self.link, "host": self.host}
        return used | {"thread": self.thread} if self.thread else used


def gradient_bytes(job: Job, plan: Plan) -> float:
    """Bytes a parameter of gradients where they are kept."""
    wide = plan.full_gradients and plan.gradients != "device"
    return FP32.bytes if wide else job.formats.gradients.bytes


def to_host(how: Copying, size: float, kept: float) -> Crossing:
    """A tensor of `size` bytes on the device leaves and takes `kept` bytes in the host.

    From the device to pinned memory it is converted before it leaves. Else the link fills a pinned buffer, a thread
    copies that to new pages, and processors convert these.
    """
    if how != "pageable":
        return Crossing(kept, kept, 0.0)
    return Crossing(size, 3.0 * size + (0.0 if kept == size else size + kept), size / NEW_PAGES)


def to_device(how: Copying, size: float, kept: float) -> Crossing:
    """A tensor that takes `kept` bytes in the host gets `size` bytes on the device.

    What lies in pinned memory has the device's format there. Else processors convert it and a thread copies it to a
    pinned buffer, from which the link reads.
    """
    if how != "pageable":
        return Crossing(size, size, 0.0)
    return Crossing(size, 3.0 * size + (0.0 if kept == size else size + kept), size / MAPPED_PAGES)
