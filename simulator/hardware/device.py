"""Devices as data files: what a datasheet says of one accelerator or processor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from simulator.errors import unknown_name
from simulator.hardware.architectures import Architecture, read_architecture
from simulator.hardware.links import link_names
from simulator.yaml_io import Fields

DEVICES = Path(__file__).with_name("devices")

KINDS = ("gpu", "npu", "cpu", "fpga", "mcu", "dataflow", "pim", "storage", "neuromorphic", "superconducting")
PEAKS = ("fp64", "tf32", "fp32", "fp16", "bf16", "fp8", "int16", "int8", "int4", "mxfp4", "nvfp4")
CACHES = ("l1", "l2", "l3", "sram")
ENERGIES = (*PEAKS, "dram", "sram", "flash", "event", "add")
UNITS = ("sm", "clock_ghz")
ROLES = ("host", "scale_up", "scale_out")

_REQUIRED = ("id", "vendor", "generation", "kind", "peak_flops", "memory", "source")
_OPTIONAL = ("year", "cache", "units", "links", "power", "price", "node", "aliases", "notes", "architecture",
             "picojoules", "fallback")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Device:
    """One device, in SI units: FLOP/s (dense), bytes, bytes/s, watts, US dollars an hour.

    `links` names interconnects of `links.yaml` by role ("scale_up", "host"); `units` holds counts that the
    timing law quantises by ("sm": streaming multiprocessors, cores, ...); `source` says where it is from.
    Under "sm" stand the compute units of AMD, the matrix units of a TPU or NPU and the cores of a CPU as well.

    `architecture` times operators in place of the calibrated law. `energy` holds joules of a multiply-add by format, of
    any other operation ("add"), of a byte of "dram", "sram" or "flash", and of an "event" (a synaptic operation). What
    the architecture cannot run goes to the device named `fallback`, over the "host" link where there is one.
    """

    id: str
    vendor: str
    generation: str
    kind: str
    peak_flops: dict[str, float]
    memory_capacity: float
    memory_bandwidth: float
    source: str
    cache: dict[str, float] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    tdp: float = 0.0
    idle_power: float = 0.0
    price: float | None = None
    price_source: str = ""
    node: str | None = None
    year: int | None = None
    notes: str = ""
    memory_type: str = ""
    aliases: tuple[str, ...] = ()
    architecture: Architecture | None = None
    energy: dict[str, float] = field(default_factory=dict)
    fallback: str | None = None


def device(name_or_path: str | Path) -> Device:
    """The device of this id or alias (upper and lower case are one), or the one in the YAML file at this path.

    Raises `InputError` for an unknown name and for a file that is not a device.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name:
        return _read(Path(name_or_path), link_names())
    identity = name.strip().lower()
    if identity not in device_names():
        aliases = {alias.lower(): owner for alias, owner in _aliases().items()}
        if identity not in aliases:
            raise unknown_name("device", name, [*device_names(), *_aliases()], remedy="(or give a YAML file)")
        identity = aliases[identity]
    return _packaged(identity)


@cache
def _files() -> dict[str, Path]:
    """The packaged files by device, in folders by what the devices are made for."""
    return {path.stem: path for path in DEVICES.rglob("*.yaml")}


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(_files()))


def device_names() -> list[str]:
    """The ids of all devices that come with the package, sorted; reads no device file."""
    return list(_names())


@cache
def _packaged(identity: str) -> Device:
    return _read(_files()[identity])


@cache
def _aliases() -> dict[str, str]:
    return {alias: name for name in _names() for alias in _packaged(name).aliases}


def _read(path: Path, known_links: Collection[str] = ()) -> Device:
    fields = Fields.load(path)
    fields.only(_REQUIRED, _OPTIONAL)
    memory, power, price = fields.fields("memory"), fields.fields("power"), fields.fields("price")
    memory.only(("capacity", "bandwidth"), ("type",))
    power.only(("tdp", "idle") if "power" in fields else ())
    price.only(("usd_per_hour", "source") if "price" in fields else ())
    tdp = power.number("tdp") if "tdp" in power else 0.0
    return Device(
        id=fields.text("id"),
        vendor=fields.text("vendor"),
        generation=fields.text("generation"),
        kind=fields.text("kind", choices=KINDS),
        peak_flops=_peaks(fields),
        memory_capacity=memory.number("capacity"),
        memory_bandwidth=memory.number("bandwidth"),
        source=fields.text("source"),
        cache=fields.fields("cache").numbers(CACHES),
        links=_links(fields.fields("links"), known_links),
        units=fields.fields("units").numbers(UNITS),
        tdp=tdp,
        idle_power=power.number("idle", above=False, most=tdp) if tdp else 0.0,
        price=price.number("usd_per_hour") if "price" in fields else None,
        price_source=price.text("source", "" if "price" not in fields else None),
        node=fields.text("node") if "node" in fields else None,
        year=fields.whole("year", least=1990, most=2100) if "year" in fields else None,
        notes=fields.text("notes", ""),
        memory_type=memory.text("type", ""),
        aliases=fields.texts("aliases"),
        architecture=read_architecture(fields.fields("architecture")) if "architecture" in fields else None,
        energy={name: pj * 1e-12 for name, pj in fields.fields("picojoules").numbers(ENERGIES).items()},
        fallback=fields.text("fallback") if "fallback" in fields else None,
    )


def _peaks(fields: Fields) -> dict[str, float]:
    peaks = fields.fields("peak_flops").numbers(PEAKS)
    if not peaks:
        raise fields.error("peak_flops", f"must give FLOP/s of at least one of {', '.join(PEAKS)}")
    return peaks


def _links(fields: Fields, known: Collection[str]) -> dict[str, str]:
    fields.only((), ROLES)
    return {role: fields.text(role, choices=known) for role in fields.names()}
