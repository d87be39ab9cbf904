"""What a report does in a browser: charts drawn, zoomed and switched, tables sorted and filtered, nothing lost."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulator.report.sections import Section, sectioned_page
from simulator.report.serving.page import report as page_of
from simulator.report.svg import INK, PALETTE, decades, drawing, svg
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


def test_charts_of_odd_data_are_drawn(tmp_path: Path) -> None:
    """Filled steps without an outline, values that are all equal, one point, and a line at the top with its name."""
    with opened(_page_of_charts(tmp_path), viewport={"width": 1200, "height": 800}) as page:
        check_drawn(page)
        filled, equal, one, ruled = page.locator("figure").all()
        assert _ink(filled, PALETTE[0]) > 2000
        assert _ink(equal, PALETTE[1]) > 80
        assert _ink(one, PALETTE[2]) > 10
        assert _words(ruled) == ["capacity"]


def _page_of_charts(folder: Path) -> Path:
    """One chart of each kind of odd data."""
    figures = []
    for name in ("filled", "equal", "one", "ruled"):
        figure, axes = drawing()
        match name:
            case "filled":
                axes.stairs([1, 2, 3], [0, 1, 2, 3], fill=True, color=PALETTE[0])
            case "equal":
                axes.plot([5.0] * 9, [i / 8 for i in range(9)], color=PALETTE[1])
                axes.plot([1.0, 9.0], [0.5, 0.5], color=PALETTE[0])
                decades(axes)
            case "one":
                axes.plot([3.0], [4.0], color=PALETTE[2])
            case "ruled":
                axes.plot([0.0, 9.0], [0.0, 80.0], color=PALETTE[0])
                axes.axhline(85.0, color=INK, linestyle="--", label="capacity")
                axes.set_ylim(0.0, 86.0)
        figures.append((name, "", svg(figure, axes, legend=False)))
    path = folder / "odd.html"
    path.write_text(_TEXTS_KEPT + sectioned_page("Odd", "", [Section("Charts", figures=figures)]))
    return path


# What charts write, with where it begins and ends, as pixels do not tell a cut word from a whole one.
_TEXTS_KEPT = """<script>
const write = CanvasRenderingContext2D.prototype.fillText, wipe = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function () {
  this.canvas.texts = [];
  wipe.apply(this, arguments);
};
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  const wide = this.measureText(text).width, left = this.textAlign === "right" ? x - wide : x;
  (this.canvas.texts ??= []).push([text, left, left + wide, y - 8 * devicePixelRatio]);
  write.apply(this, arguments);
};
</script>"""


def _words(figure: Any) -> list[str]:
    """Words that a chart writes wholly within its own area, whose left edge is where the area of the axes begins."""
    return figure.evaluate(
        """figure => {
            const canvas = figure.querySelector('canvas'), area = figure.querySelector('.u-over');
            const left = area.offsetLeft * devicePixelRatio, top = area.offsetTop * devicePixelRatio;
            const right = left + area.offsetWidth * devicePixelRatio;
            const whole = canvas.texts.filter(([, a, b, y]) => a >= left && b <= right && y >= top);
            return [...new Set(whole.map(([text]) => text))].filter(text => /[a-z]/.test(text));
        }"""
    )


def _ink(figure: Any, colour: str) -> int:
    """Pixels of a chart in this colour."""
    return figure.evaluate(
        """(figure, colour) => {
            const canvas = figure.querySelector('canvas'), wanted = colour.match(/\\w\\w/g).map(x => parseInt(x, 16));
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let found = 0;
            for (let i = 0; i < data.length; i += 4)
                if (data[i + 3] > 100 && wanted.every((value, k) => Math.abs(value - data[i + k]) < 12)) found++;
            return found;
        }""",
        colour,
    )


def test_all_that_is_clicked_is_reached_by_keys(report: Path) -> None:
    with opened(report, viewport={"width": 1200, "height": 800}) as page:
        check_drawn(page)
        name = page.locator("figure", has_text="Latency").first.get_by_role("button", name="TTFT: show or hide")
        name.focus()
        page.keyboard.press("Enter")
        row = page.locator("figure", has_text="Latency").first.locator(".u-series").nth(1)
        assert "u-off" in (row.get_attribute("class") or "")
        head = page.locator(".sortable th").first
        head.focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") in ("ascending", "descending")
        assert page.locator(".scroll:not([tabindex])").count() == 0


def test_ticks_leave_room_for_each_other_on_a_phone(tmp_path: Path) -> None:
    figure, axes = drawing()
    axes.plot([500.0, 60_000.0], [0.0, 1.0])
    decades(axes)
    path = tmp_path / "narrow.html"
    text = sectioned_page("Narrow", "", [Section("Charts", figures=[("chart", "", svg(figure, axes))])])
    path.write_text(_TEXTS_KEPT + text)
    with opened(path, viewport={"width": 390, "height": 800}) as page:
        check_drawn(page)
        written = page.evaluate(
            "document.querySelector('canvas').texts.filter(([t]) => parseFloat(t.replaceAll(',', '')) >= 100)"
        )
        last = {text: (left, right) for text, left, right, _ in written}
        places = sorted(last.values())
        assert len(places) >= 2
        assert all(right < left for (_, right), (left, _) in pairwise(places))
