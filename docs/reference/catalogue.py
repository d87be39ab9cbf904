"""Pages of devices, models, graphs, links, nodes, formats and scenarios, from the catalogues that commands list."""

from __future__ import annotations

from reference.markdown import WIDE, code, table
from simulator.hardware.device import Device, device, device_names
from simulator.report import catalogue

FORMATS = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8", "int4")


def devices() -> str:
    """Every device: peaks, bandwidth, memory, power, whose calibration times it, and the source of its numbers."""
    about = """# Devices

Written from the device files. Peaks are dense TFLOP/s (for integers, 10^12 operations a second); memory and bandwidth
are of device memory. *Timed by* is the calibration whose curves time the device: its own, or that of its nearest
relative, whose shares of the roofs are then applied to this device's datasheet; or the architecture that its file
describes. `simulator show device NAME` prints everything known of one, and `--device path/to/device.yaml` takes
your own.
"""
    heading = ("device", "kind", "year", "peak TFLOP/s", "memory, GB", "GB/s", "TDP, W", "timed by", "source")
    rows = [_device(device(name)) for name in device_names()]
    return WIDE + about + "\n" + table(heading, rows, numbers=("year", "memory, GB", "GB/s", "TDP, W"))


def _device(found: Device) -> tuple[object, ...]:
    peaks = ", ".join(
        f"{name} {found.peak_flops[name] / 1e12:,.4g}" for name in FORMATS if found.peak_flops.get(name)
    ) or ", ".join(f"{name} {value / 1e12:,.4g}" for name, value in found.peak_flops.items())
    facts = catalogue.facts("devices", found.id)
    timed = facts.get("timed_by") or facts["calibration"]
    return (
        code(found.id),
        found.kind,
        found.year,
        peaks,
        f"{found.memory_capacity / 1e9:,.4g}",
        f"{found.memory_bandwidth / 1e9:,.4g}",
        f"{found.tdp:,.4g}",
        timed,
        found.source,
    )


def listed(kind: str, title: str, about: str) -> str:
    """A page of what `simulator list KIND` lists."""
    rows = catalogue.rows(kind)
    heading = tuple(rows[0])
    shown = [(code(next(iter(row.values()))), *list(row.values())[1:]) for row in rows]
    numbers = [name for name in heading[1:] if all(_numeric(row[name]) for row in rows)]
    return f"{WIDE}# {title}\n\n{about}\n\n" + table(heading, shown, numbers=numbers)


def _numeric(value: object) -> bool:
    text = str(value).replace(",", "").rstrip("%x")
    return not text or text.replace(".", "", 1).replace("e+", "").replace("e-", "").isdigit()
