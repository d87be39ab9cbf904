"""The pages of replays, cascades, comparisons and plans: what they say is what the summaries say, in any browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from simulator.comparison.compare import Comparison, compare
from simulator.experiment import Result
from simulator.kinds import experiment_from, run_experiment
from simulator.planning.plan import Plan, plan
from simulator.planning.spec import plan_from
from simulator.report.comparison.page import comparison_page
from simulator.report.planning.answer import HOURS_A_MONTH
from simulator.report.planning.page import page as plan_page
from simulator.report.serving.assumptions import assumption_rows, calibration_rows, provenance
from simulator.report.serving.page import report
from simulator.report.serving.step_time import step_time
from simulator.scenario import Scenario, scenario_from
from simulator.uncertainty import intervals, spreads
from tests.report.browser import check_drawn, needs_chromium, opened
from tests.report.pages import check, without_scripts
from tests.report.test_report import RESULT, result_of

SMALL = {"arrivals": {"process": "poisson", "rate": 4.0}, "requests": 60}
LENGTHS = {
    "prompt_tokens": {"law": "lognormal", "median": 200, "sigma": 0.6, "max": 1000},
    "output_tokens": {"law": "lognormal", "median": 40, "sigma": 0.6, "max": 200},
}
LOAD = {"generator": SMALL | LENGTHS}


def served(**changes: Any) -> Scenario:
    return scenario_from({"model": "Qwen/Qwen2.5-0.5B", "device": "nvidia-l4-24gb", "load": LOAD, **changes})


@pytest.fixture(scope="module")
def calls() -> Result:
    pool = {"model": "Qwen/Qwen2.5-0.5B", "device": "nvidia-l4-24gb"}
    options = {"tiers": ["edge", "cloud"], "thresholds": [0.7], "accuracy": 0.9}
    network = {"round_trip_ms": 10.0}
    values = {
        "kind": "cascade", "name": "two pools", "pools": {"edge": pool | {"network": network}, "cloud": pool},
        "plan": {"policy": "cascade", "options": options}, "load": LOAD,
    }  # fmt: skip
    return run_experiment(experiment_from(values))


@pytest.fixture(scope="module")
def compared() -> Comparison:
    return compare([served(name="one"), served(name="two", batching={"max_num_seqs": 2})])


@pytest.fixture(scope="module")
def planned() -> Plan:
    values = {
        "model": "Qwen/Qwen2.5-0.5B", "load": LOAD, "objectives": {"ttft_ms": {"p99": 900}, "tpot_ms": {"p99": 40}},
        "devices": ["nvidia-l4-24gb", "nvidia-l40s-48gb"], "vary": {"max_num_seqs": [8, 256]}, "uncertainty": 2,
        "max_replicas": 4,
    }  # fmt: skip
    return plan(plan_from(values), jobs=1)


@pytest.fixture(scope="module")
def pages(
    calls: Result, compared: Comparison, planned: Plan, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A file of each kind of page."""
    folder = tmp_path_factory.mktemp("pages")
    texts = {"cascade": report(calls), "comparison": comparison_page(compared), "plan": plan_page(planned)}
    for kind, text in texts.items():
        (folder / f"{kind}.html").write_text(text)
    return {kind: folder / f"{kind}.html" for kind in texts}


def head(page: str) -> str:
    """What stands before the first section."""
    return without_scripts(page).split("<h2>")[0]


def keys(page: str) -> dict[str, str]:
    """The large figures of a page by name."""
    return dict(re.findall(r"<dt>(.*?)</dt><dd><b>(.*?)</b>", head(page)))


def number(text: str) -> float:
    return float(text.rstrip("%").replace(",", ""))


def test_the_first_figures_of_a_run_are_those_of_its_summary() -> None:
    page, s = report(RESULT), RESULT.summary
    found = keys(page)
    assert number(found["P99 TTFT"]) == pytest.approx(s["latency_ms"]["ttft"]["p99"], rel=0.005)
    assert number(found["P99 TPOT"]) == pytest.approx(s["latency_ms"]["tpot"]["p99"], rel=0.005)
    assert number(found["Output throughput"]) == pytest.approx(s["throughput"]["output_tokens_per_s"], rel=0.005)
    assert number(found["Goodput"]) == pytest.approx(s["goodput"]["share"] * 100, abs=0.05)
    cost, energy = s["cost"]["usd_per_million_output_tokens"], s["energy"]["j_per_output_token"]
    assert number(found["Cost a million output tokens"]) == pytest.approx(cost, rel=0.005)
    assert number(found["Energy an output token"]) == pytest.approx(energy, rel=0.005)


def test_intervals_stand_under_the_figures() -> None:
    result = result_of([30, 60] * 5)
    result.summary["intervals"] = intervals(served(), 2)
    low, high = result.summary["intervals"]["latency_ms"]["ttft"]["p99"]
    page = report(result)
    check(page)
    assert len(re.findall(r"<small>90%: [\d.,]+ – [\d.,]+</small>", head(page))) >= 3
    assert f"<br><small>{low:,.2f} – {high:,.2f}</small>" in page
    assert "--uncertainty 2" in page


def test_shares_of_operators_add_up() -> None:
    page = without_scripts(report(RESULT))
    table = page.split("Where the time of iterations goes")[1].split("</table>")[0]
    shares = [float(share) for share in re.findall(r'<td class="n">[\d.,]+</td><td class="n">([\d.]+)%</td>', table)]
    assert len(shares) > 5
    assert sum(shares) == pytest.approx(100.0, abs=0.1 * len(shares))


def test_assumptions_say_what_was_left_as_usual() -> None:
    rows = {row["field"]: row for row in assumption_rows(result_of([5], batching={"max_num_seqs": 7}))}
    assert (rows["batching.max_num_seqs"]["value"], rows["batching.max_num_seqs"]["by"]) == ("7", "the scenario")
    assert (rows["batching.policy"]["value"], rows["batching.policy"]["by"]) == ("vllm-v1", "the usual value")
    assert rows["precision.weights"]["value"] == "bf16"


def test_the_page_says_whose_curves_time_the_kernels() -> None:
    spent = step_time(RESULT)
    rows = {row["kernels"]: row for row in calibration_rows(RESULT, spent)}
    assert "No kernel was measured on nvidia-l4-24gb" in provenance(RESULT.deployment)
    assert "another device: nvidia-l40s-48gb" in rows["matrix products"]["timed by the curve of"]
    shares = sum(number(row["share of the time"]) for row in rows.values())
    host = sum(one.seconds for one in spent if one.family == "host") / sum(one.seconds for one in spent)
    assert shares == pytest.approx(100 * (1 - host), abs=0.3)
    low, high = (1 + number(end) / 100 for end in rows["matrix products"]["error (90 %)"].split(" to "))
    assert low * high == pytest.approx(1.0, abs=0.02)
    assert spreads(RESULT.deployment)["gemm"] > 0
    measured = result_of([5], device="nvidia-h100-sxm-80gb")
    assert provenance(measured.deployment).startswith("Kernels are timed by curves measured on nvidia-h100")


def test_the_page_of_a_cascade(calls: Result, pages: dict[str, Path]) -> None:
    page = pages["cascade"].read_text()
    check(page)
    found = keys(page)
    assert number(found["P99 E2E"]) == pytest.approx(calls.summary["latency_ms"]["e2e"]["p99"], rel=0.005)
    cost = calls.summary["cost"]["usd_per_request"] * 1e3
    assert number(found["Cost of a thousand requests"]) == pytest.approx(cost, rel=0.005)
    assert "edge: " in page and "cloud: " in page


def test_a_comparison_says_first_who_wins(compared: Comparison, pages: dict[str, Path]) -> None:
    page = pages["comparison"].read_text()
    check(page)
    assert page == comparison_page(compared)
    change = compared.against[0].differences["ttft", "p99"].relative
    assert change is not None
    assert number(keys(page)["P99 TTFT"]) == pytest.approx(change * 100, abs=0.06)
    assert "Against one, two is" in head(page)
    first, own = (s["request_time_ms"] for s in compared.summary["scenarios"])
    total = sum(own.values()) - sum(first.values())
    said = re.search(r"A mean request takes ([\d.,]+) ms more with two", head(page))
    assert said is not None
    assert number(said[1]) == pytest.approx(total, rel=0.01)


def test_several_scenarios_say_which_is_best() -> None:
    three = compare([served(name=name, batching={"max_num_seqs": n}) for name, n in (("a", 2), ("b", 64), ("c", 4))])
    page = comparison_page(three)
    check(page)
    p99 = {a.label: a.differences["ttft", "p99"].scenario * 1e3 for a in three.against}
    assert number(keys(page)["Best P99 TTFT"]) == pytest.approx(min(p99.values()), rel=0.005)
    fastest = [label for label, value in p99.items() if value == min(p99.values())]
    assert f"<small>{', '.join(fastest)}</small>" in head(page)


def test_a_plan_says_first_what_to_rent(planned: Plan, pages: dict[str, Path]) -> None:
    page = pages["plan"].read_text()
    check(page)
    assert page == plan_page(planned)
    best = planned.best
    assert best is not None
    found = keys(page)
    assert number(found["Devices"]) == best.devices
    assert number(found["Cost a month"]) == pytest.approx(best.usd_per_hour * HOURS_A_MONTH, abs=0.5)
    assert number(found["P99 TTFT"]) == pytest.approx(best.figures["TTFT P99"], rel=0.005)
    assert f"Rent {best.replicas} replica" in head(page)
    assert best.configuration.label in head(page)


def test_every_candidate_of_a_plan_is_accounted_for(planned: Plan) -> None:
    devices = planned.facts["devices"]
    assert sum(d["candidates"] for d in devices) == planned.facts["search"]["considered"] == 4
    met = sum(d["fates"].get("meets every objective", 0) for d in devices)
    assert met == len({o.configuration.key for o in planned.feasible})
    cheapest = [d["cheapest"]["usd_per_hour"] for d in devices if d["cheapest"]]
    assert min(cheapest) == planned.ranked[0].usd_per_hour


def test_a_plan_gives_its_launch_lines(planned: Plan, pages: dict[str, Path]) -> None:
    best = planned.best
    assert best is not None
    page = pages["plan"].read_text()
    assert page.count("vllm serve") >= best.replicas
    assert f"--max-num-seqs {best.configuration.settings['max_num_seqs']}" in page


def test_a_plan_that_nothing_meets_says_so() -> None:
    values = {
        "model": "Qwen/Qwen2.5-0.5B", "load": LOAD, "objectives": {"ttft_ms": {"p99": 0.01}},
        "devices": ["nvidia-l4-24gb"], "max_replicas": 2,
    }  # fmt: skip
    page = plan_page(plan(plan_from(values), jobs=1))
    check(page)
    assert "No candidate meets every objective" in head(page)


@needs_chromium
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("kind", ["cascade", "comparison", "plan"])
def test_pages_in_a_browser(kind: str, width: int, pages: dict[str, Path]) -> None:
    assert pages[kind].stat().st_size < 600_000
    scheme = "dark" if width < 500 else "light"
    with opened(pages[kind], viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        check_drawn(page)
        box = page.locator("p.answer").first.bounding_box()
        assert box["y"] + box["height"] < 844


@needs_chromium
def test_a_scenario_is_switched_in_all_charts(pages: dict[str, Path]) -> None:
    with opened(pages["comparison"], viewport={"width": 1200, "height": 900}) as page:
        check_drawn(page)
        names = page.locator(".u-legend .u-series", has_text="two")
        assert names.count() == 5
        names.first.locator("th").click()
        assert all("u-off" in (one.get_attribute("class") or "") for one in names.all())


@needs_chromium
def test_on_paper_nothing_is_cut_off(pages: dict[str, Path]) -> None:
    with opened(pages["plan"], viewport={"width": 720, "height": 1000}) as page:
        check_drawn(page)
        page.emulate_media(media="print")
        tables = "[...document.querySelectorAll('.scroll')].every(t => t.scrollWidth <= t.clientWidth + 1)"
        assert page.evaluate(tables)


@needs_chromium
def test_marks_of_a_plan_name_their_deployment(planned: Plan, pages: dict[str, Path]) -> None:
    with opened(pages["plan"], viewport={"width": 1200, "height": 900}) as page:
        check_drawn(page)
        chart = page.locator("figure", has_text="Cost against").first
        tips = [mark.get_attribute("data-tip") for mark in chart.locator("[data-tip]").all()]
        for o in planned.feasible:
            assert any(tip.startswith(f"{o.replicas} x {o.configuration.label}: ") for tip in tips)
