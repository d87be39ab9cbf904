"""What a serving engine adds to the kernels of an iteration, one small file an engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from simulator.errors import InputError, unknown_name
from simulator.yaml_io import load_yaml

OVERHEADS = Path(__file__).with_name("overheads")


@dataclass(frozen=True, slots=True)
class StepOverheads:
    """Seconds that a serving engine adds around the kernels of one iteration, by name.

    `launch` submits the iteration (a replayed graph, or the first kernels of an eager one), `scheduler`
    decides the batch and prepares its inputs, `sampling` and `detokenisation` are host seconds a sequence,
    `frontend` is what the front end works on one request after another (HTTP, tokenisation), `ingestion` what a
    request waits besides before the scheduler can see it (queue hand-over). `overlap` is the share of each kernel's
    own overhead that back-to-back kernels of a replayed graph hide; iterations of more than `graph_tokens` tokens
    are launched kernel by kernel instead, each `eager` seconds of the host.
    """

    launch: float = 0.0
    scheduler: float = 0.0
    sampling: float = 0.0
    detokenisation: float = 0.0
    frontend: float = 0.0
    ingestion: float = 0.0
    overlap: float = 0.0
    eager: float = 0.0
    graph_tokens: float = 512.0
    engine: str = ""
    source: str = ""

    def step_seconds(self, sequences: float) -> float:
        """Host seconds of one iteration that samples `sequences` tokens."""
        return self.launch + self.scheduler + sequences * (self.sampling + self.detokenisation)


def engine_names() -> list[str]:
    """Engines whose overheads come with the package."""
    return sorted(f.stem for f in OVERHEADS.glob("*.yaml"))


@cache
def overheads(engine: str) -> StepOverheads:
    """The overheads of an engine, or of the file at this path. Raises `InputError` for unknown names."""
    path = Path(engine) if engine.endswith((".yaml", ".yml")) else OVERHEADS / f"{engine}.yaml"
    if not path.exists():
        raise unknown_name("engine", engine, engine_names(), remedy="(or give a path to a .yaml file)")
    raw = load_yaml(path)
    if not isinstance(raw, dict):
        raise InputError("an overheads file holds a mapping", file=path)
    known = [f.name for f in fields(StepOverheads)]
    for key, value in raw.items():
        if key not in known:
            raise unknown_name("overhead", key, known, file=path)
        if key not in ("engine", "source") and not (isinstance(value, int | float) and 0 <= value < math.inf):
            raise InputError(f"{key} is {value!r}: give seconds of at least 0", file=path)
    seconds = {k: float(v) for k, v in raw.items() if k not in ("engine", "source")}
    described = " ".join(str(raw.get("source", "")).split())
    return StepOverheads(**seconds, engine=str(raw.get("engine", engine)), source=described)
