"""The head of a page: a few figures and sentences that a reader who decides sees first."""

from __future__ import annotations

from pathlib import Path

from simulator.kinds import load_summarised, simulate
from simulator.report.sections import Answer, KeyFigure, Section, sectioned_page
from simulator.report.training_html import training_report
from tests.report.browser import needs_chromium, opened
from tests.report.pages import check, without_scripts

SCENARIOS = Path(__file__).parents[2] / "simulator" / "scenarios"
ANSWER = Answer([KeyFigure(f"figure {i}", "1,234.5", "tokens/s", "1,200 – 1,300") for i in range(6)], ["It <fits>."])


def test_figures_of_a_training_step_are_those_of_its_summary() -> None:
    result = simulate(load_summarised(SCENARIOS / "training" / "mixtral-8x7b.yaml"))
    page = training_report(result)  # type: ignore[arg-type]
    check(page)
    summary = result.summary
    head = without_scripts(page).split("<h2>")[0]
    assert f"<b>{summary['step_s']:.4g}</b> s" in head
    assert f"<b>{summary['mfu']:.1%}</b>" in head
    assert f"<b>{max(stage['total'] for stage in summary['memory_gb']):.1f}</b> GB" in head
    computing = sum(summary["breakdown_s"][part] for part in ("forward", "recompute", "backward"))
    assert f"{computing / summary['step_s']:.0%} goes to computing" in head


@needs_chromium
def test_the_answer_is_on_the_first_screen_of_a_phone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(sectioned_page("What it costs", "on these devices", [Section("All", [{"a": "1"}])], ANSWER))
    check(path.read_text())
    with opened(path, viewport={"width": 390, "height": 800}) as page:
        said = page.locator("p.answer")
        assert said.inner_text() == "It <fits>."
        box = said.bounding_box()
        assert box["y"] + box["height"] < 800
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
