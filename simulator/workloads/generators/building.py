"""From a plain mapping, as YAML gives it, to a synthetic load."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.workloads.generators import arrivals, lengths
from simulator.workloads.generators.adapters import Adapters
from simulator.workloads.generators.phases import Phase, Phased
from simulator.workloads.generators.retrieval import Retrieval
from simulator.workloads.generators.source import Generated, Prefix, Sessions

PROCESSES: dict[str, type[Any]] = {
    "poisson": arrivals.Poisson,
    "gamma": arrivals.Gamma,
    "weibull": arrivals.Weibull,
    "constant": arrivals.Constant,
    "burst": arrivals.Burst,
    "mmpp": arrivals.MMPP,
    "diurnal": arrivals.Diurnal,
    "staged": arrivals.Staged,
}
LAWS: dict[str, type[Any]] = {
    "fixed": lengths.Fixed,
    "uniform": lengths.Uniform,
    "lognormal": lengths.LogNormal,
    "empirical": lengths.Empirical,
}
_FIELDS = (
    "arrivals",
    "prompt_tokens",
    "output_tokens",
    "requests",
    "seed",
    "correlation",
    "prefix",
    "sessions",
    "retrieval",
    "adapters",
    "name",
)
MOST_REQUESTS = 1_000_000_000
PHASE_CHUNK = 4096  # requests drawn at a time, of which a short phase needs only the first


def generate(spec: Mapping[str, Any]) -> Generated | Phased:
    """Build a load from a mapping as `generate_one` takes it, or from several, one after the other:

    {"phases": [{"seconds": 300, "arrivals": ..., "prompt_tokens": ..., "output_tokens": ...}, ...], "seed": 0}.
    Phases share no prefixes and have no sessions. Raises `InputError` naming the field that is wrong.
    """
    if "phases" not in spec:
        return generate_one(spec)
    _known("generator", spec, ("phases", "seed", "requests", "name"))
    given, seed = spec["phases"], _whole("seed", spec.get("seed", 0), 0, 2**63 - 1)
    if not isinstance(given, list) or not given:
        raise InputError("generator.phases: give a list of {seconds, arrivals, prompt_tokens, output_tokens}")
    return Phased(
        tuple(_phase(_mapping("phases", part), seed, n) for n, part in enumerate(given)),
        _whole("requests", spec.get("requests", MOST_REQUESTS), 1, MOST_REQUESTS),
        name=str(spec.get("name", "generated")),
    )


def _phase(values: dict[str, Any], seed: int, number: int) -> Phase:
    """One phase; its seed is that of all, and its number."""
    _known("phases", values, ("seconds", "arrivals", "prompt_tokens", "output_tokens", "correlation"))
    seconds = _between("phases.seconds", values.pop("seconds", None), 1e-9, 1e9)
    own = int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1)[0])
    load = generate_one({**values, "requests": MOST_REQUESTS, "seed": own})
    if isinstance(load.arrivals, arrivals.Burst):
        raise InputError("phases.arrivals: a burst has no end within a phase, give another process")
    return Phase(replace(load, chunk=PHASE_CHUNK), seconds)


def generate_one(spec: Mapping[str, Any]) -> Generated:
    """Build a load from a mapping such as

    {"arrivals": {"process": "gamma", "rate": 5.0, "cv": 2.0},
     "prompt_tokens": {"law": "lognormal", "median": 1020, "p90": 2500, "max": 8192},
     "output_tokens": {"law": "fixed", "tokens": 128}, "requests": 2000, "seed": 0}

    with optional "correlation" (of the lengths, -1 to 1), "prefix" {groups, tokens}, "sessions" {turns, think_s,
    seconds_per_token, users, max_tokens} or, alone, "retrieval" {documents, per_request, tokens, zipf}, and
    "adapters" {count, zipf or power, base_share}. An empirical law may take its table from a `trace` file.
    Raises `InputError` naming the field that is unknown, missing or out of range.
    """
    _known("generator", spec, _FIELDS)
    for name in ("arrivals", "prompt_tokens", "output_tokens"):
        if name not in spec:
            raise InputError(f"generator lacks {name!r}")
    process = _arrivals(_mapping("arrivals", spec["arrivals"]))
    staged = isinstance(process, arrivals.Staged)
    most = (
        sum(round(rate * duration) for rate, duration in process.stages)
        if isinstance(process, arrivals.Staged)
        else None
    )
    if "requests" not in spec and not staged:
        raise InputError("generator lacks 'requests', the number of them")
    return Generated(
        arrivals=process,
        prompt_tokens=length_law("prompt_tokens", spec["prompt_tokens"]),
        output_tokens=length_law("output_tokens", spec["output_tokens"]),
        requests=_whole("requests", spec.get("requests", most), 1, MOST_REQUESTS),
        seed=_whole("seed", spec.get("seed", 0), 0, 2**63 - 1),
        correlation=_between("correlation", spec.get("correlation", 0.0), -1.0, 1.0),
        prefix=_prefix(spec["prefix"]) if spec.get("prefix") is not None else None,
        sessions=_sessions(spec["sessions"]) if spec.get("sessions") is not None else None,
        retrieval=_retrieval(spec) if spec.get("retrieval") is not None else None,
        adapters=_adapters(spec["adapters"]) if spec.get("adapters") is not None else None,
        name=str(spec.get("name", "generated")),
    )


def _arrivals(values: dict[str, Any]) -> arrivals.Arrivals:
    process = values.pop("process", None)
    if process not in PROCESSES:
        raise unknown_name("arrivals.process", process, PROCESSES)
    if process == "staged":
        stages = values.get("stages")
        if not isinstance(stages, list) or not all(
            isinstance(s, dict) and set(s) == {"rate", "duration"} for s in stages
        ):
            raise InputError("arrivals.stages: give a list of {rate, duration}")
        values["stages"] = tuple((s["rate"], s["duration"]) for s in stages)
    for name in ("rates", "dwell_s"):
        if name in values:
            values[name] = _tuple(f"arrivals.{name}", values[name])
    built: arrivals.Arrivals = _built("arrivals", PROCESSES[process], values)
    return built


def length_law(name: str, given: object) -> lengths.Lengths:
    """A law of lengths from a number or a mapping such as {"law": "fixed", "tokens": 128}.

    Raises `InputError` naming the field, inside `name`, that cannot be used.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        given = {"law": "fixed", "tokens": given}
    values = _mapping(name, given)
    law = values.pop("law", None)
    if law not in LAWS:
        raise unknown_name(f"{name}.law", law, LAWS)
    if law == "empirical" and "trace" in values:
        return _from_trace(name, values)
    for key in ("quantile", "tokens"):
        if law == "empirical" and key in values:
            values[key] = _tuple(f"{name}.{key}", values[key])
    built: lengths.Lengths = _built(name, LAWS[law], values)
    return built


def _from_trace(name: str, values: dict[str, Any]) -> lengths.Lengths:
    from simulator.workloads.traces import open_trace

    _known(name, values, ("trace",))
    column = "output_tokens" if name == "output_tokens" else "prompt_tokens"
    found = [getattr(chunk, column) for chunk in open_trace(str(values["trace"])).chunks()]
    return lengths.from_values(np.concatenate(found))


def _prefix(given: object) -> Prefix:
    values = _mapping("prefix", given)
    _known("prefix", values, ("groups", "tokens"))
    return Prefix(
        _whole("prefix.groups", values.get("groups"), 1, 10**9),
        _whole("prefix.tokens", values.get("tokens"), 1, lengths.LONGEST),
    )


def _sessions(given: object) -> Sessions:
    values = _mapping("sessions", given)
    _known("sessions", values, ("turns", "think_s", "seconds_per_token", "users", "max_tokens"))
    return Sessions(
        turns=length_law("sessions.turns", values.get("turns", 1)),
        think_s=_between("sessions.think_s", values.get("think_s", 10.0), 0.0, 1e9),
        seconds_per_token=_between("sessions.seconds_per_token", values.get("seconds_per_token", 0.02), 0.0, 1e6),
        users=_whole("sessions.users", values.get("users", 0), 0, 10**7),
        max_tokens=_whole("sessions.max_tokens", values.get("max_tokens", 131_072), 1, lengths.LONGEST),
    )


def _retrieval(spec: Mapping[str, Any]) -> Retrieval:
    for other in ("prefix", "sessions"):
        if spec.get(other) is not None:
            raise InputError(f"generator gives retrieval and {other}: leave out one of them")
    values = _mapping("retrieval", spec["retrieval"])
    _known("retrieval", values, ("documents", "per_request", "tokens", "zipf"))
    documents = _whole("retrieval.documents", values.get("documents"), 1, 1_000_000)
    return Retrieval(
        documents=documents,
        per_request=_whole("retrieval.per_request", values.get("per_request"), 1, documents),
        tokens=length_law("retrieval.tokens", values.get("tokens")),
        zipf=_between("retrieval.zipf", values.get("zipf", 1.0), 0.0, 10.0),
    )


def _adapters(given: object) -> Adapters:
    values = _mapping("adapters", given)
    _known("adapters", values, ("count", "zipf", "power", "base_share"))
    if "zipf" in values and "power" in values:
        raise InputError("adapters gives zipf and power, two laws of popularity: leave out one of them")
    power = values.get("power")
    return Adapters(
        count=_whole("adapters.count", values.get("count"), 1, 1_000_000),
        zipf=_between("adapters.zipf", values.get("zipf", 0.0), 0.0, 10.0),
        power=None if power is None else _between("adapters.power", power, 0.01, 100.0),
        base_share=_between("adapters.base_share", values.get("base_share", 0.0), 0.0, 1.0),
    )


def _built(name: str, cls: type[Any], values: dict[str, Any]) -> Any:
    parameters = inspect.signature(cls).parameters
    _known(name, values, parameters)
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in values]
    if missing:
        raise InputError(f"{name} lacks {missing[0]!r}")
    try:
        return cls(**values)
    except InputError as error:
        message = error.message
        raise InputError(message if message.startswith(name) else f"{name}: {message}") from None
    except TypeError:
        wrong = next((k for k, v in values.items() if isinstance(v, str | list | dict | bool)), name)
        raise InputError(f"{name}.{wrong} is {values.get(wrong)!r}: give a number") from None


def _mapping(name: str, given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(f"{name} is {str(given)[:60]!r}: give a mapping")
    return dict(given)


def _known(name: str, values: Mapping[str, Any], known: Any) -> None:
    for key in values:
        if key not in known:
            raise unknown_name(f"{name} field", key, list(known))


def _tuple(name: str, given: object) -> tuple[Any, ...]:
    if not isinstance(given, list | tuple):
        raise InputError(f"{name} is {given!r}: give a list of numbers")
    return tuple(given)


def _whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}: give a whole number from {least:,} to {most:,}")
    return value


def _between(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}: give a number from {least:g} to {most:g}")
    return float(value)
