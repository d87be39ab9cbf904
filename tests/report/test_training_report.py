"""The page of a training step and its drawings."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cli import main
from simulator.engine.training.memory import stage_memory
from simulator.report.training.answer import training_answer
from simulator.report.training.figures import highest_within, training_figures
from simulator.report.training.page import training_report
from simulator.report.training.timeline import shown_stages
from simulator.specs.training import TrainingScenario
from simulator.training import TrainingResult, train
from tests.report.pages import check, without_scripts

BARS = ["Where the time goes", "Memory by stage"]
LENGTHS = {"law": "lognormal", "median": 300, "p90": 500}


def result(**fields: Any) -> TrainingResult:
    usual: dict[str, Any] = {
        "kind": "training",
        "model": {"layers": 8, "hidden": 1024, "heads": 16},
        "device": "nvidia-a100-sxm-80gb",
        "batch": {"sequence": 512, "micro": 1, "global_size": 16},
        "layout": {"pipeline": 4},
    }
    return train(TrainingScenario.model_validate(usual | fields))


PIPELINE = result()


@pytest.mark.parametrize(
    ("found", "titles"),
    [
        (PIPELINE, [*BARS, "Pipeline", "Memory over the step"]),
        (result(layout={}), [*BARS, "Memory over the step"]),
        (
            result(layout={"pipeline": 4, "chunks": 2}, batch={"sequence": 512, "micro": 1, "global_size": 1600}),
            [
                "Where the time goes",
                "Memory by stage",
                "Pipeline, filling",
                "Pipeline, draining",
                "Memory over the step",
            ],
        ),
        (
            result(layout={"data": 4}, batch={"sequence": 512, "global_size": 16, "lengths": LENGTHS}),
            BARS,
        ),
    ],
    ids=["pipeline", "one device", "many passes", "lengths"],
)
def test_figures_are_drawn_where_there_is_something_to_draw(found: TrainingResult, titles: list[str]) -> None:
    figures = training_figures(found)
    assert [title for title, _, _ in figures] == titles
    for _, _, svg in figures:
        assert ElementTree.fromstring(without_scripts(svg)).tag.endswith("svg")


def test_the_page_stands_alone_and_repeats_itself(tmp_path: Path) -> None:
    page = training_report(result(name="a <b> & c"))
    assert "a &lt;b&gt; &amp; c" in page
    check(page)
    assert page == training_report(result(name="a <b> & c"))
    (tmp_path / "again.yaml").write_text(html.unescape(page.split("<pre>")[1].split("</pre>")[0]))
    assert main(["train", str(tmp_path / "again.yaml"), "-q", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text() == page


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ({"run": {"days": 3}}, ["The run", "3.00 days", "100.00%"]),
        ({"stragglers": {"slowdowns": [{"kind": "static"}]}}, ["With stragglers", "step, P99"]),
        ({"sites": {"count": 2}}, ["Sites", "local steps a period"]),
    ],
)
def test_the_page_shows_what_is_beyond_the_step(field: dict[str, Any], shown: list[str]) -> None:
    page = training_report(result(**field))
    # Values may wrap on a phone, where the table would else run out of the screen.
    assert '<td class="v">' in page.split(shown[0])[1].split("</table>")[0]
    figures = page.split("<h2>To run this again</h2>")[0]
    for text in shown:
        assert text in figures
        assert text not in training_report(PIPELINE)


def test_the_memory_line_reaches_the_peak_of_the_table() -> None:
    from simulator.engine.training.memory import activations_over_time

    for stage in range(4):
        kept, times = activations_over_time(PIPELINE.step, stage)
        _, most = highest_within(times, kept, PIPELINE.step.timeline.seconds)
        assert most.max() == pytest.approx(stage_memory(PIPELINE.step, stage).activations)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), min_size=1, max_size=30))
def test_no_value_is_above_the_highest_of_its_interval(changes: list[tuple[float, float]]) -> None:
    times, values = (np.array(x) for x in zip(*sorted(changes), strict=True))
    edges, most = highest_within(times, values, 10.0)
    assert most.max() == values.max()
    for time, value in zip(times, values, strict=True):
        inside = min(int(np.searchsorted(edges, time, side="right")) - 1, len(most) - 1)
        assert most[inside] >= value


def test_chosen_stages_hold_both_ends() -> None:
    step = result(layout={"pipeline": 8}).step
    assert shown_stages(step, 16) == list(range(8))
    for most in (1, 2, 3, 5):
        chosen = shown_stages(step, most)
        assert (chosen[0], chosen[-1]) == (0, 7)
        assert len(set(chosen)) == len(chosen) <= max(2, most)


def test_the_head_is_at_the_pace_that_a_parameter_server_allows() -> None:
    """Tokens a second and their cost at the head belong together: the price of the devices is what joins them."""
    served = result(layout={"data": 4}, parameter_server={"link": "ethernet-100"}, price_per_device_hour=2.0)
    head = training_answer(served.summary, 80e9)
    figures = {figure.name: figure for figure in head.figures}
    rate = float(figures["Throughput"].value.replace(",", ""))
    assert figures["Throughput"].unit == "tokens/s"
    assert rate == pytest.approx(served.summary["parameter_server"]["tokens_per_s"], rel=1e-2)
    assert float(figures["Cost"].value) == pytest.approx(4 * 2.0 / 3600 / rate * 1e6, rel=1e-2)
    assert any("parameter server" in sentence for sentence in head.sentences)


def test_the_head_says_what_stragglers_make_of_a_step() -> None:
    slowed = result(stragglers={"slowdowns": [{"kind": "static"}]})
    head = training_answer(slowed.summary, 80e9)
    mean = slowed.summary["stragglers"]["step_s"]["mean"]
    assert head.figures[0].between == f"{mean:,.4g} s with stragglers"
    assert any(f"{mean:,.4g} s on average" in sentence for sentence in head.sentences)
