"""`simulator plan`: find the cheapest deployments that meet latency objectives under a load."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import Json, Quiet, file_argument, made_folder
from simulator.cli.results import Wanted, deliver
from simulator.shipped import PLANS

if TYPE_CHECKING:
    from simulator.planning.search import Found
    from simulator.report.progress import Update


def plan(
    spec: Annotated[Path, file_argument("Planning specification in YAML; simulator list plans shows some.", PLANS)],
    out: Annotated[Path | None, typer.Option(help="Folder for plan.json, best.yaml, report.html and deploy/.")] = None,
    json_file: Json = None,
    jobs: Annotated[int, typer.Option(help="Processes that simulate side by side; -1: one a core.")] = -1,
    quiet: Quiet = False,
) -> None:
    """Find the cheapest deployments that meet latency objectives under a load, and say what binds them.

    Or, for a file of kind training-plan, the quickest layouts of training on so many devices, and why others lose.

    Example: simulator plan simulator/planning/specs/azure-70b.yaml --out out/
    """
    from simulator.errors import InputError
    from simulator.planning.plan import plan as answer
    from simulator.planning.spec import load_plan
    from simulator.planning.training.plan import is_training_plan
    from simulator.report.planning.table import print_plan
    from simulator.report.progress import progress
    from simulator.report.results import capacity_plan

    if jobs == 0:
        raise InputError("--jobs is 0: give a number of processes, or -1 for one a core")
    wanted = Wanted(out, json_file, quiet)
    if is_training_plan(spec):
        _plan_training(spec, wanted)
        return
    question = load_plan(spec)
    made_folder(out)
    with progress("planning", "simulations") as update:
        found = answer(question, jobs=jobs, on_wave=None if update is None else partial(_search_note, update))
    deliver(wanted, capacity_plan(), found, found.facts, lambda: print_plan(found.facts))


def _plan_training(spec: Path, wanted: Wanted) -> None:
    from simulator.planning.training.plan import load_training_plan, plan_training
    from simulator.report.kinds import print_summary
    from simulator.report.progress import progress
    from simulator.report.results import layout_plan

    plan = load_training_plan(spec)
    made_folder(wanted.out)
    with progress("searching", "layouts") as on_bound:
        answer = plan_training(plan, on_bound=on_bound)
    deliver(wanted, layout_plan(), answer, answer.summary, lambda: print_summary(plan.kind, answer.summary))


def _search_note(update: Update, found: Found) -> None:
    """How far a search for deployments is, and what it has found."""
    best = f", best {found.cheapest:,.2f} USD an hour" if found.feasible else ""
    update(found.simulations, note=f"{found.considered:,} candidates{best}")
