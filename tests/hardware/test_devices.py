"""The device, link and node files are complete and true to published figures; wrong files say what is wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.hardware.device import DEVICES, device, device_names
from simulator.hardware.links import link, link_names, read_links
from simulator.hardware.node import TOPOLOGIES, node, node_names
from simulator.yaml_io import MAX_BYTES, line_of, load_yaml, loads_yaml

GOOD = """\
id: my-device
vendor: acme
generation: one
kind: gpu
peak_flops: {fp32: 1e12, bf16: 10e12}
memory: {capacity: 24e9, bandwidth: 300e9, type: GDDR6}
cache: {l2: 48e6}
units: {sm: 58, clock_ghz: 2.04}
links: {host: pcie-gen4-x16}
power: {tdp: 72, idle: 16}
price: {usd_per_hour: 0.71, source: a price list}
aliases: [Mine]
source: a datasheet
"""


SERVERS = sorted(path.stem for path in DEVICES.glob("*.yaml"))


@pytest.mark.parametrize("name", SERVERS)
def test_every_device_file_is_complete(name: str) -> None:
    found = device(name)
    assert found.id == name
    assert found.source and found.memory_type and found.notes
    numbers = [*found.peak_flops.values(), *found.cache.values(), *found.units.values()]
    assert all(math.isfinite(x) and x > 0 for x in [*numbers, found.memory_capacity, found.memory_bandwidth])
    assert found.units["sm"] >= 1
    assert 0 < found.idle_power < found.tdp
    assert found.year is not None and 2015 < found.year < 2030
    assert (found.price is None) == (found.price_source == "")
    assert "host" in found.links and all(link(name) for name in found.links.values())
    assert found.node is not None and node(found.node)


@pytest.mark.parametrize("name", SERVERS)
def test_peaks_and_ridge_point_are_plausible(name: str) -> None:
    found = device(name)
    peak = found.peak_flops.get("bf16") or found.peak_flops.get("fp16") or found.peak_flops["fp32"]
    assert 10 < peak / found.memory_bandwidth < 800
    assert found.peak_flops.get("fp32", 0.0) <= peak
    assert found.peak_flops.get("fp8", peak) >= peak
    assert found.peak_flops.get("nvfp4", math.inf) > found.peak_flops.get("fp8", peak)
    assert 1e8 < found.memory_bandwidth / found.units["sm"] < 3e12


@pytest.mark.parametrize("name", node_names())
def test_every_node_file_is_complete(name: str) -> None:
    found = node(name)
    assert found.name == name
    assert found.source and found.topology in TOPOLOGIES
    assert device(found.device) and device(found.host.cpu).kind in ("cpu", "gpu")
    assert link(found.scale_up) and link(found.scale_out) and link(found.host.link)
    assert found.host.memory > 1e10
    assert link(found.scale_out).bandwidth <= link(found.scale_up).bandwidth


@pytest.mark.parametrize("name", link_names())
def test_every_link_is_plausible(name: str) -> None:
    found = link(name)
    assert 1e8 < found.bandwidth < 2e12
    assert 0 < found.latency < 0.1
    assert 0.5 <= found.efficiency <= 1
    assert found.source


def test_the_default_node_of_a_device_holds_that_device() -> None:
    assert {name: node(device(name).node or "").device for name in SERVERS} == {n: n for n in SERVERS}


@pytest.mark.parametrize(
    ("name", "field", "figure"),
    [
        ("nvidia-a100-sxm-80gb", "bf16", 312e12),
        ("nvidia-a100-sxm-80gb", "fp32", 19.5e12),
        ("nvidia-h100-sxm-80gb", "bf16", 989.4e12),
        ("nvidia-h100-sxm-80gb", "fp8", 1978.9e12),
        ("nvidia-l4-24gb", "bf16", 121e12),
        ("nvidia-l40s-48gb", "fp8", 733e12),
        ("nvidia-a10-24gb", "bf16", 125e12),
        ("nvidia-t4-16gb", "fp16", 65e12),
        ("nvidia-v100-sxm-32gb", "fp16", 125e12),
        ("nvidia-rtx-4090-24gb", "bf16", 165.2e12),
        ("nvidia-rtx-5090-32gb", "bf16", 209.5e12),
        ("nvidia-b200-sxm-180gb", "nvfp4", 9000e12),
        ("amd-mi300x-192gb", "bf16", 1307.4e12),
        ("amd-mi250x-128gb", "fp16", 383e12),
        ("google-tpu-v4", "bf16", 275e12),
        ("google-tpu-v5p", "bf16", 459e12),
        ("google-tpu-v6e", "bf16", 918e12),
        ("aws-trainium2", "bf16", 667e12),
        ("intel-gaudi3-128gb", "bf16", 1835e12),
    ],
)
def test_dense_peaks_are_the_published_ones(name: str, field: str, figure: float) -> None:
    assert device(name).peak_flops[field] == pytest.approx(figure, rel=0.005)


@pytest.mark.parametrize(
    ("name", "bandwidth"),
    [
        ("A100-40GB", 1555e9),
        ("A100", 2039e9),
        ("H100", 3.35e12),
        ("H200", 4.8e12),
        ("L4", 300e9),
        ("RTX-4090", 1008e9),
        ("MI300X", 5.3e12),
        ("TPU-v5e", 819e9),
        ("EPYC-9654", 12 * 8 * 4800e6),
    ],
)
def test_memory_bandwidths_are_the_published_ones(name: str, bandwidth: float) -> None:
    assert device(name).memory_bandwidth == pytest.approx(bandwidth, rel=0.01)


@pytest.mark.parametrize(
    ("name", "flop_per_cycle_and_unit"),
    [("V100", 1024), ("A100", 2048), ("H100", 4096), ("A10", 1024), ("L4", 1024), ("RTX-4090", 512), ("B200", 8192)],
)
def test_tensor_peak_is_units_times_clock_times_width(name: str, flop_per_cycle_and_unit: float) -> None:
    found = device(name)
    derived = found.units["sm"] * found.units["clock_ghz"] * 1e9 * flop_per_cycle_and_unit
    assert found.peak_flops["fp16"] == pytest.approx(derived, rel=0.02)


def test_relatives_differ_where_the_vendor_says_so() -> None:
    h100, h800, h200, h20 = device("H100"), device("H800"), device("H200"), device("H20")
    assert h100.peak_flops["bf16"] == h800.peak_flops["bf16"] == h200.peak_flops["bf16"] > 6 * h20.peak_flops["bf16"]
    assert link(h800.links["scale_up"]).bandwidth < link(h100.links["scale_up"]).bandwidth
    assert link(h20.links["scale_up"]) == link(h100.links["scale_up"])
    assert device("A800").peak_flops == device("A100").peak_flops


@pytest.mark.parametrize(
    ("name", "both_ways"),
    [("nvlink2", 300e9), ("nvlink3", 600e9), ("nvlink4", 900e9), ("nvlink5", 1800e9), ("pcie-gen5-x16", 126e9)],
)
def test_links_count_one_direction(name: str, both_ways: float) -> None:
    assert 2 * link(name).bandwidth == pytest.approx(both_ways, rel=0.01)


@pytest.mark.parametrize(
    ("name", "devices", "topology"),
    [("hgx-h100", 8, "switch"), ("gb200-nvl72", 72, "switch"), ("dgx-2", 16, "switch"), ("tpu-v5e-pod", 256, "torus")],
)
def test_nodes_have_their_published_size(name: str, devices: int, topology: str) -> None:
    assert (node(name).devices_per_node, node(name).topology) == (devices, topology)


def test_names_ignore_case_and_aliases_are_unique() -> None:
    assert device("h100") is device("NVIDIA-H100-SXM-80GB") is device("H100-SXM5")
    assert node("HGX-H100").device == "nvidia-h100-sxm-80gb"
    assert link("NVLink4").name == "nvlink4"
    aliases = [alias.lower() for name in device_names() for alias in device(name).aliases]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & set(device_names())


def test_a_device_file_of_the_user_is_read_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    found = device(file)
    assert device(str(file)) == found
    assert (found.id, found.peak_flops["bf16"], found.price, found.aliases) == ("my-device", 10e12, 0.71, ("Mine",))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("vendor: acme\n", "", None, "the file lacks vendor"),
        ("vendor: acme", "vendr: acme", 2, "unknown field 'vendr': did you mean vendor?"),
        ("bandwidth: 300e9", "bandwith: 300e9", 6, "unknown field of memory 'bandwith': did you mean bandwidth?"),
        ("bandwidth: 300e9, ", "", 6, "memory lacks bandwidth"),
        ("300e9", "-1", 6, "memory.bandwidth must be above 0, not -1"),
        ("300e9", ".nan", 6, "memory.bandwidth must be a number above 0, not nan"),
        ("300e9", ".inf", 6, "memory.bandwidth must be a number above 0, not inf"),
        ("300e9", "fast", 6, "memory.bandwidth must be a number above 0, not 'fast'"),
        ("300e9", "true", 6, "memory.bandwidth must be a number above 0, not True"),
        ("bf16: 10e12", "bf61: 10e12", 5, "unknown field of peak_flops 'bf61': did you mean bf16"),
        ("{fp32: 1e12, bf16: 10e12}", "{}", 5, "peak_flops must give FLOP/s of at least one of"),
        ("{fp32: 1e12, bf16: 10e12}", "12", 5, "peak_flops must be a mapping of fields, not 12"),
        ("kind: gpu", "kind: gpx", 4, "unknown kind 'gpx': did you mean gpu"),
        ("kind: gpu", "kind: 7", 4, "kind must be text, not 7"),
        ("pcie-gen4-x16", "pcie-gen4x16", 9, "unknown links.host 'pcie-gen4x16': did you mean pcie-gen4-x16"),
        ("idle: 16", "idle: 160", 10, "power.idle must be at least 0 and at most 72, not 160"),
        ("sm: 58", "sm: 0", 8, "units.sm must be above 0, not 0"),
        ("[Mine]", "Mine", 12, "aliases must be a list of texts, not 'Mine'"),
        (", source: a price list", "", 11, "price lacks source"),
        ("id: my-device", "id: my-device\nid: other", 2, "duplicate key 'id', first given on line 1"),
        ("vendor: acme", "vendor: acme\nyear: 2024.5", 3, "year must be a whole number, not 2024.5"),
        ("source: a datasheet", "source:", 13, "source must be text, not nothing"),
    ],
)
def test_a_wrong_device_file_is_one_clear_line(
    tmp_path: Path, old: str, new: str, line: int | None, message: str
) -> None:
    file = tmp_path / "wrong.yaml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        device(file)
    place = f"{file}: " if line is None else f"{file}:{line}: "
    assert str(caught.value).startswith(place + message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n", "12"])
def test_a_file_that_is_no_device_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match="the file must be a mapping of fields"):
        device(file)


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown device 'h1000'.*did you mean .*H100"):
        device("h1000")
    with pytest.raises(InputError, match=r"unknown link 'nvlink44'.*did you mean nvlink4"):
        link("nvlink44")
    with pytest.raises(InputError, match=r"unknown node 'hgx-h10'.*did you mean .*hgx-h100"):
        node("hgx-h10")
    with pytest.raises(InputError, match="cannot read the file"):
        device("missing/device.yaml")


def test_a_wrong_link_and_a_wrong_node_name_the_field(tmp_path: Path) -> None:
    links = tmp_path / "links.yaml"
    links.write_text("fast: {bandwidth: 1e9, latency: 1e-6, efficiency: 1.5, source: none}\n")
    with pytest.raises(InputError, match=r"links.yaml:1: fast.efficiency must be above 0 and at most 1, not 1.5"):
        read_links(links)
    wrong = tmp_path / "node.yaml"
    wrong.write_text((DEVICES.with_name("nodes") / "hgx-h100.yaml").read_text().replace("switch", "swich"))
    with pytest.raises(InputError, match=r"node.yaml:4: unknown scale_up.topology 'swich': did you mean switch"):
        node(wrong)


def test_scalars_follow_yaml_1_2() -> None:
    text = (
        "{a: 121e12, b: 1e-6, c: -.5, d: 1_000, e: 010, f: 0x1F, g: on, h: 12:30, i: 2024-01-01, j: true, k: ~, l: 1.}"
    )
    wanted = [121e12, 1e-6, -0.5, 1000, 10, 31, "on", "12:30", "2024-01-01", True, None, 1.0]
    assert loads_yaml(text) == dict(zip("abcdefghijkl", wanted, strict=True))
    assert isinstance(loads_yaml("7"), int) and isinstance(loads_yaml("7e0"), float)
    assert loads_yaml("") is None


def test_small_aliases_and_merges_are_allowed() -> None:
    assert loads_yaml("a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}") == {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": 2}}


BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))


CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 500))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CHAIN, r"f.yaml:\d+: aliases nest deeper than 100 levels"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: duplicate key 'a', first given on line 1"),
        ("x: {a: 1, a: 2}\n", "f.yaml:1: duplicate key 'a', first given on line 1"),
        (BOMB, r"f.yaml:\d+: aliases expand to more than 100,000 values"),
        ("a: &a [1, *a]\n", "f.yaml:1: an alias contains itself"),
        ("a: &a\n  b: {c: *a}\n", "f.yaml:1: an alias contains itself"),
        ("a: *nothing\n", "f.yaml:1: not usable YAML: found undefined alias"),
        ("ok: 1\nrun: !!python/object/apply:os.system [echo]\n", "f.yaml:2: not usable YAML: could not determine"),
        ("a: !custom 1\n", "f.yaml:1: not usable YAML: could not determine a constructor"),
        ("a: [1, 2\nb: 3\n", r"f.yaml:\d: not usable YAML"),
        ("a: 1\n\tb: 2\n", r"f.yaml:\d: not usable YAML"),
        ("a: 1\n---\nb: 2\n", r"f.yaml:\d: not usable YAML: but found another document"),
        ("? [1, 2]\n: 3\n", "f.yaml:1: a key must be a plain word or number"),
        ("[" * 200 + "]" * 200, "f.yaml:1: YAML nested deeper than 100 levels"),
        ("[" * 50_000, "f.yaml:1: YAML nested deeper than 100 levels"),
        ("a:\n" + "- " * 50_000, "f.yaml:2: YAML nested deeper than 100 levels"),
        ("a: \x01\n", "f.yaml:1: not usable YAML"),
        ("a: !!int twelve\n", "f.yaml: a YAML value cannot be read"),
        ("a: " + "9" * 5000, "f.yaml: a YAML value cannot be read"),
        ("a: " + "x" * MAX_BYTES, "f.yaml: YAML over 5,000,000 bytes"),
    ],
    ids=lambda value: None if len(value) > 60 else value,
)
def test_unusable_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        loads_yaml(text, file="f.yaml")
    assert len(str(caught.value)) < 300


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(InputError, match="over 5,000,000 bytes"):
        load_yaml(large)
    with pytest.raises(InputError, match=r"binary.yaml:2: not UTF-8 text: byte 0xff"):
        load_yaml(binary)
    for missing in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(InputError, match="cannot read the file"):
            load_yaml(missing)


def test_line_of_finds_the_entry_or_its_parent() -> None:
    text = "a:\n  b: 1\n  c:\n    - x\n    - y\n"
    assert line_of(text, ("a", "c", 1)) == 5
    assert line_of(text, ("a", "missing")) == 1
    assert line_of(text, ()) is None
    assert line_of("a: [", ("a",)) is None
