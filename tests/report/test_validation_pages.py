"""Pages of predictions against measurements: figures, marks and tables are those of the rows compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from simulator.calibrate.errors import Comparison
from simulator.cli import main
from simulator.report.validation.figures import MOST_MARKS, distribution, parity
from simulator.report.validation.page import validation_page, validation_sets_page
from simulator.report.validation.published_page import published_comparison, published_page
from tests.report.browser import check_drawn, needs_chromium, opened
from tests.report.pages import check, without_scripts

RNG = np.random.default_rng(3)
GRAPHS = "model,batch,device,runtime,latency_ms\nresnet-50,1,nvidia-a100-sxm-80gb,tensorrt,{}\n"


def compared(rows: int = 40) -> Comparison:
    """Two operators of two devices with errors of a few per cent, a claimed spread, and something left out."""
    found = Comparison(sources={"device-a as vllm runs it": "4,096 measurements"})
    for device in ("device-a", "device-b"):
        for op in ("gemm", "<attention>"):
            measured = np.exp(RNG.normal(-6.0, 1.0, rows))
            predicted = measured * np.exp(RNG.normal(0.02, 0.05, rows))
            names = [f"m {i}" for i in range(rows)]
            found.add({"device": device, "op": op}, predicted, measured, 0.05, names)
    found.skip("no such <format>", 7)
    return found


def test_the_head_states_the_errors_of_all_rows() -> None:
    found = compared()
    off = np.concatenate(found.predicted) / np.concatenate(found.measured) - 1.0
    page = validation_page(found, "kernels", ["k.parquet", "--held-out"])
    check(page)
    head = without_scripts(page).split("<h2>")[0]
    for value in (np.median(np.abs(off)), np.abs(off).mean(), np.quantile(np.abs(off), 0.9)):
        assert f"<b>{value:.1%}</b>" in head
    assert f"<b>{off.mean():+.1%}</b>" in head
    assert "7 left out" in head
    assert "simulator validate kernels k.parquet --held-out --out out/" in page
    assert page == validation_page(found, "kernels", ["k.parquet", "--held-out"])


def test_each_mark_says_its_row() -> None:
    found = compared(3)
    said = re.findall(r"<title>(.*?)</title>", parity(found, "op", "seconds"))
    wanted = {
        f"{label['device']}, {label['op'].replace('<', '&lt;').replace('>', '&gt;')}, {name} ({p / m - 1:+.1%})"
        for label, name, p, m in found.rows()
    }
    assert {text.rpartition(": ")[0] for text in said} == wanted


def test_of_many_rows_the_worst_are_among_the_marks() -> None:
    found = compared(2000)
    off = np.concatenate([np.abs(np.log(p / m)) for p, m in zip(found.predicted, found.measured, strict=True)])
    names = [f"{name} ({p / m - 1:+.1%})" for _, name, p, m in found.rows()]
    said = re.findall(r"<title>(.*?)</title>", parity(found, "op", "seconds"))
    assert len(said) <= MOST_MARKS
    for i in np.argsort(-off)[:5]:
        assert any(names[i] in text for text in said)


def test_the_distribution_is_that_of_the_errors() -> None:
    found = compared(25)
    off = 100.0 * np.abs(np.concatenate(found.predicted) / np.concatenate(found.measured) - 1.0)
    text = re.search(r'class="curves">(.*?)</script>', distribution(found, "op"))
    assert text is not None
    curve = next(c for c in json.loads(text[1])["series"] if c["name"] == "all")
    exact = stats.ecdf(off).cdf.evaluate(np.array(curve["x"][1:]) * (1 + 1e-5))
    assert np.array(curve["y"][1:]) == pytest.approx(exact)


def test_rows_that_all_fall_out_still_make_a_page() -> None:
    found = Comparison()
    found.skip("unknown device x", 3)
    page = validation_page(found, "kernels", ["k.parquet"])
    check(page)
    assert "unknown device x" in page


def test_published_ratios() -> None:
    rows = {
        "serving/quick": {"baseline": 2.0, "system": 1.0, "predicted": 2.0, "reported": 2.5},
        "edge/silent": {"baseline": 1.0, "system": 3.0, "predicted": 3.0, "reported": None},
    }
    found = published_comparison(rows)
    assert found.skipped == {"no ratio is reported": 1}
    page = published_page(rows)
    assert "of what was reported" in page
    assert "measured" not in without_scripts(page)
    check(page)
    assert "<b>20.0%</b>" in page
    assert "-20%" in page


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(GRAPHS.format(0.9) + "resnet-50,1,no-such-device,tensorrt,1\n")
    assert main(["validate", "graphs", str(file), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    check(page)
    assert str(tmp_path) not in page
    assert "no-such-device" in page
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["errors.json", "parity.svg", "report.html"]
    assert "predicted against measured" in capsys.readouterr().out


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
def test_in_a_browser(tmp_path: Path, width: int, scheme: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(validation_sets_page({"Kernels": compared(), "Whole models": compared(5)}))
    check(path.read_text())
    with opened(path, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        check_drawn(page)
        mark = page.locator("figure", has_text="Predicted against measured").first.locator("[data-tip]").nth(10)
        mark.scroll_into_view_if_needed()
        assert re.search(r"device-[ab], .*, m \d+ \([+-]\d", mark.get_attribute("data-tip"))
