"""What the package knows, as rows and facts for `simulator list` and `simulator show`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from simulator.errors import unknown_name
from simulator.policies.registry import GIVEN, POLICIES, policy_class
from simulator.shipped import PLANS, SCENARIOS, SWEEPS, file_of
from simulator.yaml_io import load_yaml

Row = dict[str, Any]


def kind_of(name: str) -> str:
    """The kind that a user's word means; singular and plural are one."""
    plural = name.strip().lower()
    plural = {"policy": "policies"}.get(plural, plural if plural.endswith("s") else plural + "s")
    if plural not in _ROWS:
        raise unknown_name("kind", name, _ROWS)
    return plural


def rows(kind: str) -> list[Row]:
    """One row a thing of this kind."""
    return _ROWS[kind]()


def facts(kind: str, name: str) -> Row:
    """Everything known of one thing. Raises `InputError` for an unknown name."""
    return _FACTS[kind](name)


def _devices() -> list[Row]:
    from simulator.hardware.architectures import architecture_name
    from simulator.hardware.device import device, device_names

    def peak(found: Any) -> str:
        name = next(f for f in ("bf16", "fp16", "fp32", *found.peak_flops) if f in found.peak_flops)
        return f"{found.peak_flops[name] / 1e12:,.4g} ({name})"

    return [
        {
            "device": d.id,
            "kind": d.kind,
            "generation": d.generation,
            "timed by": architecture_name(d.architecture),
            "TFLOP/s": peak(d),
            "memory (GB)": f"{d.memory_capacity / 1e9:,.4g}",
            "bandwidth (GB/s)": f"{d.memory_bandwidth / 1e9:,.4g}",
            "TDP (W)": f"{d.tdp:,.0f}",
            "USD/h": "" if d.price is None else f"{d.price:.2f}",
            "source": d.source,
        }
        for d in map(device, device_names())
    ]


def _models() -> list[Row]:
    from simulator.workloads.models import model, model_names

    return [
        {
            "model": m.name,
            "architecture": m.architecture,
            "parameters (B)": f"{m.parameters() / 1e9:,.3f}",
            "active (B)": f"{m.active_parameters() / 1e9:,.3f}",
            "layers": len(m.layers),
            "hidden": m.hidden,
            "source": m.source,
        }
        for m in map(model, model_names())
    ]


def _graphs() -> list[Row]:
    """Models that are operator graphs, with their sizes at batch 1."""
    from simulator.workloads.graphs.catalogue import entry, graph_model, graph_model_names
    from simulator.workloads.graphs.counting import count_model

    found: list[Row] = []
    for name in graph_model_names():
        counted, known = count_model(graph_model(name)), entry(name)
        found.append(
            {
                "graph": name,
                "family": known.family,
                "parameters (M)": f"{counted.parameters / 1e6:,.3f}",
                "multiply-adds (G)": f"{counted.macs / 1e9:,.4g}",
                "published (M)": "" if known.parameters is None else f"{known.parameters / 1e6:,.3f}",
                "published (G)": "" if known.macs is None else f"{known.macs / 1e9:,.4g}",
                "source": known.source,
            }
        )
    return found


def _policies() -> list[Row]:
    return [
        {"kind": kind, "policy": name, "what it does": _first_line(policy_class(kind, name))}
        for kind, known in POLICIES.items()
        for name in known
    ]


def _workloads() -> list[Row]:
    from simulator.workloads.catalogue import load_facts, load_names

    return [{k: load_facts(name)[k] for k in ("workload", "about", "source")} for name in load_names()]


def _scenarios() -> list[Row]:
    """Scenarios; of published systems also the ratio to their baseline, as `simulator validate scenarios` found it."""
    found: list[Row] = []
    file = SCENARIOS / "predictions.json"
    predicted = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for path in sorted(SCENARIOS.rglob("*.yaml")):
        values = load_yaml(path)
        assert isinstance(values, dict)
        name = path.relative_to(SCENARIOS).with_suffix("").as_posix()
        row = {"scenario": name, "about": values["name"], "predicted": "", "reported": ""}
        if name in predicted:
            row["predicted"] = f"{predicted[name]['predicted']:.2f}x"
            row["reported"] = f"{reported:g}x" if (reported := predicted[name]["reported"]) else "not stated"
        found.append(row)
    return found


def _plans() -> list[Row]:
    found = [(path, load_yaml(path)) for path in sorted(PLANS.glob("*.yaml"))]
    return [{"plan": path.stem, "about": values["name"]} for path, values in found if isinstance(values, dict)]


def _sweeps() -> list[Row]:
    found = [(path, load_yaml(path)) for path in sorted(SWEEPS.glob("*.yaml"))]
    return [{"sweep": path.stem, "about": values["name"]} for path, values in found if isinstance(values, dict)]


def _links() -> list[Row]:
    from simulator.hardware.links import link, link_names

    return [
        {
            "link": x.name,
            "GB/s each way": f"{x.bandwidth / 1e9:,.4g}",
            "latency (us)": f"{x.latency * 1e6:,.4g}",
            "reached": f"{x.efficiency:.0%}",
            "source": x.source,
        }
        for x in map(link, link_names())
    ]


def _nodes() -> list[Row]:
    from simulator.hardware.node import node, node_names

    return [
        {
            "node": n.name,
            "device": n.device,
            "devices": n.devices_per_node,
            "scale-up": f"{n.scale_up} ({n.topology})",
            "scale-out": n.scale_out,
            "source": n.source,
        }
        for n in map(node, node_names())
    ]


def _dtypes() -> list[Row]:
    from simulator.workloads.dtypes import DTYPES

    return [
        {"format": d.name, "bytes a number": f"{d.bytes:.4g}", "computes in": d.compute, "source": d.source}
        for d in DTYPES.values()
    ]


def _device_facts(name: str) -> Row:
    from simulator.hardware.architectures import architecture_name
    from simulator.hardware.device import device
    from simulator.hardware.relatives import calibrations_for

    found = device(name)
    if found.architecture is not None:
        return asdict(found) | {"timed_by": architecture_name(found.architecture)}
    calibration = calibrations_for(found)
    return asdict(found) | {"calibration": calibration.name, "calibration_source": calibration.source}


def _model_facts(name: str) -> Row:
    from simulator.workloads.graph import spans
    from simulator.workloads.models import model
    from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token

    m = model(name)
    layers: list[Row] = []
    for layer in dict.fromkeys(m.layers):
        layers.append({"count": m.layers.count(layer), **asdict(layer)})
    return {
        "name": m.name,
        "architecture": m.architecture,
        "parameters": m.parameters(),
        "active_parameters": m.active_parameters(),
        "published_parameters": m.published_parameters,
        "hidden": m.hidden,
        "vocabulary": m.vocab,
        "max_tokens": m.max_tokens,
        "tied_embedding": m.tied_embedding,
        "dtype": m.dtype,
        "kv_cache_bytes_per_token_bf16": kv_bytes_per_token(m, Parallelism(), Precision()),
        "attention_spans": [s.tokens or "all" for s in spans(m)],
        "layers": layers,
        "source": m.source,
    }


def _graph_facts(name: str) -> Row:
    from simulator.workloads.graphs.catalogue import entry, graph_model
    from simulator.workloads.graphs.counting import by_type, count_model

    counted = count_model(graph_model(name))
    return {
        **asdict(entry(name)),
        "nodes": counted.nodes,
        "counted_parameters": counted.parameters,
        "counted_macs": counted.macs,
        "flops": counted.flops,
        "bytes_moved": counted.bytes,
        "activations": counted.activations,
        "operators": by_type(graph_model(name)),
    }


def _policy_facts(name: str) -> Row:
    for kind, known in POLICIES.items():
        if name in known or ":" in name:
            found = policy_class(kind, name)
            options = {
                p.name: "required" if p.default is p.empty else p.default
                for p in inspect.signature(found).parameters.values()
                if p.name not in GIVEN
            }
            return {"kind": kind, "class": known.get(name, name), "options": options, "about": inspect.getdoc(found)}
    raise unknown_name("policy", name, [n for known in POLICIES.values() for n in known])


def _scenario_facts(name: str) -> Row:
    values = load_yaml(file_of(name, SCENARIOS))
    assert isinstance(values, dict)
    return values


def _plan_facts(name: str) -> Row:
    values = load_yaml(file_of(name, PLANS))
    assert isinstance(values, dict)
    return values


def _sweep_facts(name: str) -> Row:
    values = load_yaml(file_of(name, SWEEPS))
    assert isinstance(values, dict)
    return values


def _link_facts(name: str) -> Row:
    from simulator.hardware.links import link

    return asdict(link(name))


def _node_facts(name: str) -> Row:
    from simulator.hardware.node import node

    return asdict(node(name))


def _dtype_facts(name: str) -> Row:
    from simulator.workloads.dtypes import dtype

    found = dtype(name)
    return asdict(found) | {"bytes": found.bytes}


def _workload_facts(name: str) -> Row:
    from simulator.workloads.catalogue import load_facts

    return load_facts(name)


def _first_line(found: type[Any]) -> str:
    return (inspect.getdoc(found) or "").split("\n", 1)[0]


_ROWS: dict[str, Callable[[], list[Row]]] = {
    "devices": _devices,
    "models": _models,
    "graphs": _graphs,
    "policies": _policies,
    "workloads": _workloads,
    "scenarios": _scenarios,
    "plans": _plans,
    "sweeps": _sweeps,
    "links": _links,
    "nodes": _nodes,
    "dtypes": _dtypes,
}
_FACTS: dict[str, Callable[[str], Row]] = {
    "devices": _device_facts,
    "models": _model_facts,
    "graphs": _graph_facts,
    "policies": _policy_facts,
    "workloads": _workload_facts,
    "scenarios": _scenario_facts,
    "plans": _plan_facts,
    "sweeps": _sweep_facts,
    "links": _link_facts,
    "nodes": _node_facts,
    "dtypes": _dtype_facts,
}
