"""Energy by operation, for devices whose makers or papers publish what a multiply-add and a byte take."""

from __future__ import annotations

from simulator.hardware.architectures import Eventful
from simulator.hardware.architectures.work import work_of
from simulator.hardware.device import Device
from simulator.hardware.formats import format_on
from simulator.workloads.operators import AnyOperator, Collective, HostCopy, Rounds, Size


def operator_joules(op: AnyOperator, device: Device) -> Size:
    """Joules of one call: multiply-adds in their format, other arithmetic, and bytes by memory.

    Other arithmetic takes the energy of an "add" where the device gives one, else half of a multiply-add each.

    Weights come from "flash" where the device has one, else from "dram"; activations from "sram" where the device
    gives its energy and no DRAM's, else from "dram". Memories without a figure count nothing; idle power is apart.
    Architectures that work by events take the energy of an event for each.
    """
    if isinstance(op, Collective | HostCopy | Rounds):
        return 0.0 * op.bytes()
    work, known = work_of(op), device.energy
    if isinstance(device.architecture, Eventful):
        return device.architecture.events(op) * known.get("event", 0.0)
    each = known.get(format_on(known, work.format) or "", 0.0)
    store = next((known[name] for name in ("flash", "dram", "sram") if name in known), 0.0)
    beside = next((known[name] for name in ("dram", "sram") if name in known), 0.0)
    arithmetic = work.macs * each + work.flops * known.get("add", 0.5 * each)
    return arithmetic + work.weights * store + (work.read + work.written) * beside
