"""Search a space of networks: size, latency, memory and energy of each candidate, and the front of the best."""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.assembly.graphs import law_of, model_of, rewritten, runtime_rewrites
from simulator.counted import OnCount
from simulator.errors import InputError, unknown_name
from simulator.inference import anchor_inference
from simulator.planning.networks.front import front
from simulator.planning.networks.space import Space
from simulator.planning.networks.timing import time_candidates
from simulator.specs.inference import InferenceScenario
from simulator.specs.network_search import NetworkSearch
from simulator.specs.validating import validated
from simulator.workloads.graphs.catalogue import entry, side_by_side
from simulator.workloads.graphs.counting import count_model
from simulator.workloads.graphs.lifetimes import peak_activation_bytes

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("latency_ms", "energy_mj", "parameters", "macs", "weights_mb", "peak_activation_mb")
CHUNK = 20_000  # candidates timed together, so that memory stays small


@dataclass(frozen=True)
class NetworkResult:
    """All candidates, one a row: the chosen values and the figures; `best` are places of the front's rows."""

    scenario: NetworkSearch
    table: pd.DataFrame
    best: NDArray[np.int64]
    size: int

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        from simulator.report.graphs.network_search import summarise_networks

        return summarise_networks(self)


def anchor_search(values: dict[str, Any], folder: Path) -> None:
    """Make the path of a model's file in plain values relative to `folder`, in place."""
    inner = values.get("scenario")
    if isinstance(inner, dict):
        anchor_inference(inner, folder)


def search_networks(scenario: NetworkSearch, *, on_count: OnCount | None = None) -> NetworkResult:
    """Time the candidates. Raises `InputError` for fields that are not there and for values that do not fit."""
    import pandas as pd

    space = Space(scenario.space)
    chosen = space.candidates(scenario.candidates, scenario.seed)
    table = pd.DataFrame({name: space.values(name, chosen) for name in space.names})
    figures = np.empty((len(chosen), len(FIGURES)))
    done = 0
    for rows, values in space.groups(chosen, _arrays(scenario.scenario)):
        for part in np.array_split(rows, -(-len(rows) // CHUNK)):
            inside = np.searchsorted(rows, part)
            own = {n: v[inside] if isinstance(v, np.ndarray) else v for n, v in values.items()}
            figures[part] = _figures(_scenario(scenario, own), len(part))
            done += len(part)
            if on_count is not None:
                on_count(done, len(chosen))
    for place, name in enumerate(FIGURES):
        table[name] = figures[:, place]
    if scenario.score is not None:
        table["score"] = _score(scenario.score, table)
    return NetworkResult(scenario, table, _best(scenario, table), space.size)


def _figures(scenario: InferenceScenario, n: int) -> NDArray[np.float64]:
    """The figures of candidates whose sizes stand side by side, shape (n, figures)."""
    model = model_of(scenario)
    counts = count_model(model)
    law, how = law_of(scenario)
    ready = rewritten(model, runtime_rewrites(how))
    seconds, joules, peak = np.zeros(n), np.zeros(n), np.zeros(n)
    for part in ready.parts:
        timed = time_candidates(part.graph, law, n, dispatch=how.dispatch, call=how.call)
        seconds, joules = seconds + timed.seconds * part.times, joules + timed.joules * part.times
        peak = np.maximum(peak, peak_activation_bytes(part.graph))
    columns = (seconds * 1e3, joules * 1e3, counts.parameters, counts.macs, counts.weight_bytes / 1e6, peak / 1e6)
    return np.stack([np.broadcast_to(np.asarray(c, dtype=np.float64), n) for c in columns], axis=1)


def _arrays(values: dict[str, Any]) -> list[str]:
    """Patterns of the fields that may be arrays: those options that the model's family takes side by side."""
    model = values.get("model")
    if isinstance(model, str):
        return [f"options.{pattern}" for pattern in side_by_side(entry(model).family)]
    if isinstance(model, dict) and isinstance(model.get("family"), str):
        return [f"model.options.{pattern}" for pattern in side_by_side(model["family"])]
    return []


def _scenario(search: NetworkSearch, values: dict[str, Any]) -> InferenceScenario:
    """The inference scenario of candidates: the fields of the search with the chosen values laid over them."""
    plain = copy.deepcopy({"kind": "inference", **search.scenario})
    known = plain.get("model")
    if isinstance(known, str) and any(n.startswith("options.") for n in values):
        plain["options"] = {**copy.deepcopy(entry(known).options), **plain.get("options", {})}
    for name, value in values.items():
        _put(plain, name, value)
    return validated(InferenceScenario, plain, "scenario")


def _put(plain: dict[str, Any], name: str, value: Any) -> None:
    """Set the field of this dotted name, whose numbers count the entries of lists. Raises `InputError` if absent."""
    keys, at = name.split("."), plain
    for place, key in enumerate(keys):
        try:
            step: Any = int(key) if isinstance(at, list) else key
            if place == len(keys) - 1:
                at[step] = value
            else:
                at = at[step] if isinstance(at, list) else at.setdefault(step, {})
        except (IndexError, ValueError, AttributeError, TypeError):
            raise InputError(f"space.{name}: there is no {'.'.join(keys[: place + 1])} in the scenario") from None


def _score(name: str, table: pd.DataFrame) -> NDArray[np.float64]:
    module, _, function = name.partition(":")
    try:
        found = np.asarray(getattr(importlib.import_module(module), function)(table), dtype=np.float64)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"score: {name!r} cannot be used: {error}") from None
    if found.shape != (len(table),) or not np.isfinite(found).all():
        raise InputError(f"score: {name} must give one finite number a row, {len(table)} in all")
    return found


def _best(scenario: NetworkSearch, table: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of the front of the candidates within the limits. Raises `InputError` if there are none."""
    for name in (*scenario.minimise, *scenario.maximise, *scenario.limits):
        if name not in table.columns:
            raise unknown_name("figure", name, [str(c) for c in table.columns])
    within = np.ones(len(table), dtype=bool)
    for name, most in scenario.limits.items():
        within &= table[name].to_numpy() <= most
    rows = np.flatnonzero(within)
    if not len(rows):
        least = {name: float(table[name].min()) for name in scenario.limits}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in least.items())
        raise InputError(f"limits: no candidate is within them; the least of each: {shown}")
    costs = [table[n].to_numpy(dtype=np.float64)[rows] for n in scenario.minimise]
    costs += [-table[n].to_numpy(dtype=np.float64)[rows] for n in scenario.maximise]
    if not costs:
        raise InputError("minimise and maximise are both empty: name the figures that count")
    return rows[front(np.stack(costs, axis=1))]
