"""The head of a page: a few figures and sentences that a reader who decides sees first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from simulator.cli import main
from simulator.kinds import load_summarised, simulate
from simulator.report.sections import Answer, KeyFigure, Section, sectioned_page
from simulator.report.training.page import training_report
from tests.report.browser import check_drawn, needs_chromium, opened
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


def run_pages(folder: Path) -> dict[str, Path]:
    """The page of a small run of each kind, written by its command."""
    scenarios: dict[str, dict[str, Any]] = {
        "train": {
            "kind": "training", "model": {"layers": 8, "hidden": 1024, "heads": 16}, "device": "nvidia-a100-sxm-80gb",
            "batch": {"sequence": 512, "micro": 1, "global_size": 16}, "layout": {"pipeline": 4, "tensor": 2},
        },
        "rounds": {"kind": "rounds", "workers": 8, "rounds": 30, "work": {"batch_s": 8}},
        "inference": {
            "kind": "inference", "model": "mobilenet-v2", "device": "nvidia-a100-sxm-80gb", "runtime": "tensorrt"
        },
        "search": {
            "kind": "network-search",
            "scenario": {"model": "mobilenet-v2", "device": "google-pixel-1-core", "runtime": "tflite-xnnpack"},
            "space": {"options.width": [0.5, 1.0], "options.resolution": [96, 160, 224]},
        },
        "pipeline": {
            "kind": "pipeline",
            "sources": {"camera": {"arrivals": {"process": "periodic", "per_s": 50}, "to": "<detect>", "seconds": 2}},
            "stages": {"<detect>": {"service": {"kind": "time", "ms": 15}}},
        },
    }  # fmt: skip
    found = {}
    for name, values in scenarios.items():
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        command = "train" if name in ("train", "rounds") else "run"
        assert main([command, str(path), "--out", str(folder / name), "--quiet"]) == 0
        found[name] = folder / name / "report.html"
    (folder / "other.yaml").write_text(yaml.safe_dump(scenarios["inference"] | {"batch": 8}))
    files = [str(folder / name) for name in ("inference.yaml", "other.yaml")]
    assert main(["compare", *files, "--out", str(folder / "compare"), "--quiet"]) == 0
    sweep = {"scenario": scenarios["inference"], "vary": {"batch": [1, 2, 4], "runtime": ["tensorrt", "no-such"]}}
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"kind": "sweep", "minimise": "latency_ms"} | sweep))
    sweep_command = ["sweep", str(folder / "sweep.yaml"), "--workers", "1", "--quiet"]
    assert main([*sweep_command, "--out", str(folder / "sweep")]) == 0
    return found | {name: folder / name / "report.html" for name in ("compare", "sweep")}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return run_pages(tmp_path_factory.mktemp("pages"))


def test_every_page_begins_with_its_answer(pages: dict[str, Path]) -> None:
    for name, path in pages.items():
        text = path.read_text()
        check(text)
        assert len(text) < 600_000, name
        assert str(path.parent.parent) not in text, name
        assert text.index('<dl class="keys">') < text.index("<h2>"), name
        assert "To run this again" in text, name


@needs_chromium
@pytest.mark.parametrize("name", ["train", "rounds", "inference", "search", "pipeline", "compare", "sweep"])
def test_pages_in_a_browser(pages: dict[str, Path], name: str) -> None:
    with opened(pages[name], viewport={"width": 390, "height": 800}, color_scheme="dark") as page:
        check_drawn(page)


@needs_chromium
def test_a_pass_of_the_pipeline_says_what_it_is(pages: dict[str, Path]) -> None:
    with opened(pages["train"], viewport={"width": 1200, "height": 900}) as page:
        check_drawn(page)
        figure = page.locator("figure.boxed")
        figure.scroll_into_view_if_needed()
        spec = json.loads(figure.locator("script.boxes").text_content())
        row, start, end, kind, micro_batch = spec["boxes"][5]
        left, top, width, height = spec["area"]
        frame = figure.locator("svg").bounding_box()
        across = ((start + end) / 2 - spec["x"][0]) / (spec["x"][1] - spec["x"][0])
        down = (row - spec["y"][0]) / (spec["y"][1] - spec["y"][0])
        page.mouse.move(
            frame["x"] + frame["width"] * (left + across * width), frame["y"] + frame["height"] * (top + down * height)
        )
        said = page.locator(".tip").inner_text()
        assert said.startswith(f"{spec['rows'][row]}, {spec['kinds'][kind]} of micro-batch {micro_batch}: starts at")


@needs_chromium
def test_equal_figures_are_folded_away(pages: dict[str, Path]) -> None:
    with opened(pages["compare"]) as page:
        check_drawn(page)
        assert page.locator("td", has_text="latency_ms").first.is_visible()
        equal = page.locator("details td", has_text="parameters")
        assert not equal.is_visible()
        page.locator("summary").click()
        assert equal.is_visible()
        page.locator("summary").click()
        page.emulate_media(media="print")
        assert equal.is_visible()


def test_the_best_point_of_a_sweep_is_named(pages: dict[str, Path]) -> None:
    results = pd.read_parquet(pages["sweep"].parent / "results.parquet")
    best = results.loc[results["latency_ms"].idxmin()]
    text = pages["sweep"].read_text()
    assert f"The best point: batch {best['batch']}, runtime {best['runtime']}." in text
    assert f"<b>{best['latency_ms']:.5g}</b>" in text
    assert (results["status"] == "failed").sum() == 3
    assert "3 failed" in text
