"""A datasheet of the processor that runs this, from what the system says and one bandwidth measurement."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import yaml

from simulator.calibrate.microbench import cpu_name, threads
from simulator.hardware.device import Device, device

NAME = "this-cpu"
# Single-precision FLOPs a core does in a cycle with two fused multiply-add units of this width (vendor manuals).
FLOPS_PER_CYCLE = {"avx512f": 64, "avx2": 32, "avx": 16}
SCALAR_FLOPS = 8
TRIAD_BYTES = 400_000_000


def datasheet() -> str:
    """A device file in YAML: peak from cores, clock and vector width, bandwidth by a triad over 400 MB arrays."""
    text = _read("/proc/cpuinfo")
    flags = set(re.findall(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)[:1] or [""])
    words = next(iter(flags)).split()
    wide = next((FLOPS_PER_CYCLE[name] for name in FLOPS_PER_CYCLE if name in words), SCALAR_FLOPS)
    clock = max([float(mhz) for mhz in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", text, re.MULTILINE)] or [2500.0]) * 1e6
    cores = threads()
    return yaml.safe_dump(
        {
            "id": NAME,
            "vendor": "this",
            "generation": "this",
            "kind": "cpu",
            "peak_flops": {"fp32": float(f"{cores * clock * wide:.4g}")},
            "memory": {"capacity": _memory(), "bandwidth": float(f"{triad():.4g}")},
            "cache": {"l2": _cache()},
            "units": {"sm": cores, "clock_ghz": float(f"{clock / 1e9:.4g}")},
            "links": {"host": "pcie-gen4-x16"},
            "source": f"{cpu_name()}, {cores} cores: cores x clock x {wide} FLOP a cycle; bandwidth by a triad",
        },
        sort_keys=False,
    )


def triad(repeats: int = 5) -> float:
    """Bytes a second of a = b + s c over arrays that no cache holds, the best of a few runs."""
    size = TRIAD_BYTES // 4
    b, c = np.ones(size, np.float32), np.ones(size, np.float32)
    a = np.empty_like(b)
    best = np.inf
    for _ in range(repeats):
        started = time.perf_counter()
        np.multiply(c, np.float32(3.0), out=a)
        np.add(a, b, out=a)
        best = min(best, time.perf_counter() - started)
    return 5 * a.nbytes / best


def this_cpu(folder: Path) -> Device:
    """The device of this machine, its file written into `folder`."""
    path = folder / f"{NAME}.device.yaml"
    path.write_text(datasheet(), encoding="utf-8")
    return device(path)


def _memory() -> float:
    found = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)
    return float(found.group(1)) * 1024 if found else 8e9


def _cache() -> float:
    """Bytes of the last-level cache."""
    sizes = [_read(str(p)).strip() for p in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    scale = {"K": 1024, "M": 1024**2}
    return float(max((int(s[:-1]) * scale[s[-1]] for s in sizes if s and s[-1] in scale), default=8 << 20))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
