"""`simulator export` as a function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.api.reading import Given, Settings, checked, named, read_scenario

if TYPE_CHECKING:
    from simulator.scenario import Scenario


def export(scenario: Given, *, format: str = "vllm", settings: Settings | None = None) -> dict[str, str]:
    """Launch lines or manifests of a deployment as texts by file name, as `simulator export` writes them.

    `format` is vllm, sglang, dynamo or llm-d. The scenario is the folder of a plan, a path, plain data or a validated
    object; `settings` are laid over it. Raises `InputError` for anything that cannot be used.
    """
    from simulator.deployment.targets import export as put
    from simulator.deployment.targets import remarks_on

    remarks = remarks_on(Path(scenario)) if isinstance(scenario, str | Path) else []
    return dict(put(_deployment(scenario, checked(settings)), format, remarks).files)


def _deployment(given: Given, settings: Settings) -> Scenario:
    from simulator.deployment.targets import scenario_at
    from simulator.kinds import only_serving

    given = named(given)
    if isinstance(given, str | Path):
        return scenario_at(Path(given), settings)
    return only_serving(read_scenario(given, settings), "export")
