"""What a report does in a browser: charts drawn, zoomed and switched, tables sorted and filtered, nothing lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.report.sections import Section, sectioned_page
from simulator.report.serving.page import report as page_of
from tests.report.browser import check_drawn, needs_chromium, opened
from tests.report.test_report import RESULT

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_of(RESULT))
    return path


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn(report: Path, width: int, scheme: str) -> None:
    with opened(report, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        check_drawn(page)
        assert page.locator("figure").count() == 9


def test_hovering_zooming_and_switching(report: Path) -> None:
    with opened(report, viewport={"width": 1200, "height": 800}) as page:
        check_drawn(page)
        figure = page.locator("figure", has_text="Latency").first
        over = figure.locator(".u-over")
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        assert float(figure.locator(".u-legend .u-series").nth(1).locator(".u-value").inner_text()) <= 1.0
        page.mouse.move(box["x"] + 0.3 * box["width"], middle)
        start = _quantity(figure)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=4)
        page.mouse.up()
        page.mouse.move(box["x"] + 2, middle)
        assert _quantity(figure) == pytest.approx(start, rel=0.1)
        over.dblclick(position={"x": 0.3 * box["width"], "y": 0.5 * box["height"]})
        page.mouse.move(box["x"] + 0.3 * box["width"] + 1, middle)
        assert _quantity(figure) == pytest.approx(start, rel=0.05)
        series = figure.locator(".u-legend .u-series").nth(1)
        series.locator("th").click()
        assert "u-off" in (series.get_attribute("class") or "")


def _quantity(figure: Any) -> float:
    """Where the pointer stands along the chart."""
    return float(figure.locator(".u-legend .u-value").first.inner_text().replace(",", ""))


def test_a_mark_says_what_it_is(report: Path) -> None:
    with opened(report, viewport={"width": 1200, "height": 800}) as page:
        check_drawn(page)
        bar = page.locator("figure", has_text="Where the time goes").locator("[data-tip]").first
        bar.scroll_into_view_if_needed()
        bar.hover()
        assert "per cent" in page.locator(".tip").inner_text()


def test_without_scripts_all_is_there(report: Path) -> None:
    with opened(report, java_script_enabled=False) as page:
        assert page.locator("figure > svg").count() == 9
        assert page.locator("figure > svg").first.is_visible()


def test_on_paper_drawings_replace_charts(report: Path) -> None:
    with opened(report) as page:
        check_drawn(page)
        page.emulate_media(media="print")
        assert page.locator("figure > svg").first.is_visible()
        assert not page.locator(".live").first.is_visible()


def test_tables_sort_and_filter(tmp_path: Path) -> None:
    rows = [{"name": f"n{i % 7}", "value": f"{i * 1250 % 9973:,}"} for i in range(20)]
    path = tmp_path / "table.html"
    path.write_text(sectioned_page("Table", "", [Section("All", rows)]))
    with opened(path) as page:
        head = page.locator("th", has_text="value")
        head.click()
        shown = [int(t.replace(",", "")) for t in page.locator("td:nth-child(2)").all_inner_texts()]
        head.click()
        other = [int(t.replace(",", "")) for t in page.locator("td:nth-child(2)").all_inner_texts()]
        assert sorted(shown) in (shown, other)
        assert shown == other[::-1]
        page.locator(".filter").fill("n3")
        visible = [r for r in page.locator("tr:has(td)").all() if r.is_visible()]
        assert len(visible) == sum(r["name"] == "n3" for r in rows)
