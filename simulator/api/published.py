"""Published systems beside their baselines as outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from simulator.api.outcome import Outcome, Rows, View
from simulator.api.running import outcome_of
from simulator.published import Published, Sides, compare_sides, sides
from simulator.report.written import Written

if TYPE_CHECKING:
    import pandas as pd

Compared = tuple[Published, Path, Sides]


def run_published(found: Published, folder: Path) -> Outcome:
    """Both sides of a published system, and the ratio of the two; relative paths are relative to `folder`."""
    answer = compare_sides(found, folder)
    reported = found.reported.ratio
    figures = {"baseline": answer.baseline, "system": answer.system, "predicted": answer.ratio, "reported": reported}
    return Outcome(
        kind="published",
        name=found.name,
        figures=figures,
        result=(found, folder, answer),
        scenario_yaml=yaml.safe_dump(found.model_dump(exclude_unset=True), sort_keys=False, allow_unicode=True),
        again="simulator run scenario.yaml",
        view=View(_title, _headline, Written(more=_files, figures=None), {"sides": _sides}),
    )


def _title(compared: Compared) -> str:
    found, _, _ = compared
    return f"{found.paper.system}, {found.paper.source}"


def _headline(compared: Compared) -> list[tuple[str, Rows]]:
    found, _, answer = compared
    measured = {"baseline": f"{answer.baseline:,.4g}", "system": f"{answer.system:,.4g}"}
    ratios = {"predicted ratio": f"{answer.ratio:.2f}", "reported": f"{found.reported.ratio or 'not stated'}"}
    return [("", [{"figure": name, "value": value} for name, value in (measured | ratios).items()])]


def _sides(compared: Compared) -> pd.DataFrame:
    """Both sides by all figures of their summaries; each is run for them."""
    import pandas as pd

    return pd.DataFrame([_side(compared, i).summary for i in (0, 1)], index=["baseline", "system"])


def _files(folder: Path, compared: Compared) -> None:
    for i, name in enumerate(("baseline", "system")):
        _side(compared, i).save(folder / name)


def _side(compared: Compared, place: int) -> Outcome:
    found, folder, _ = compared
    side: Any = sides(found, folder)[place]
    return outcome_of(side)
