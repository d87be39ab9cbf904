"""The reference pages hold everything that there is, and what they say of fields is what validation does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from pydantic import ValidationError

from reference import PAGES, catalogue, commands, policies, schema
from reference.fields import described
from simulator.cli import app
from simulator.errors import InputError
from simulator.hardware.device import device_names
from simulator.policies.registry import POLICIES
from simulator.specs.validating import validated


def test_every_command_and_option() -> None:
    text = commands.page()

    def visible(command: Any, name: str) -> Iterator[tuple[str, list[str]]]:
        if hasattr(command, "commands"):
            for each, below in command.commands.items():
                yield from visible(below, f"{name} {each}")
        else:
            yield name, [option for p in command.params for option in p.opts if option.startswith("--")]

    for name, options in visible(typer.main.get_command(app), "simulator"):
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for option in set(options) - {"--help"}:
            assert f"`{option}`" in section, (name, option)


def test_every_policy_has_a_section_and_an_explanation() -> None:
    sections = re.split(r"^### ", policies.page(), flags=re.MULTILINE)[1:]
    assert len(sections) == sum(map(len, POLICIES.values()))
    for section in sections:
        assert len(section.split("\n\n")[1]) >= 10, section


def test_every_device_has_a_row_with_its_source() -> None:
    rows = [line.split(" | ") for line in catalogue.devices().splitlines() if line.startswith("| `")]
    assert {row[0].strip("| `") for row in rows} == set(device_names())
    assert all(len(row[-1]) > 5 and row[3] for row in rows)


@pytest.mark.parametrize("kind", schema.ROOTS)
def test_every_field_says_what_it_means(kind: str) -> None:
    root = schema.ROOTS[kind].fields
    silent = [
        f"{part.__module__}.{part.__name__}.{name}"
        for part, _ in schema._sections(root, "")
        for name in schema.own_fields(part)
        if not described(part, name).meaning
    ]
    assert not silent


ROW = re.compile(r"^\| `(\w+)` \| (?:integer|number) ([≥>]) ([\d.,]+?),? ?[≤<| ]", re.MULTILINE)


@pytest.mark.parametrize("kind", ["serving", "training", "pipeline"])
def test_bounds_on_the_page_are_those_of_validation(kind: str) -> None:
    sections = re.split(r"^## .*\n", schema.page(kind), flags=re.MULTILINE)[1:]
    tried = 0
    for (part, _), section in zip(schema._sections(schema.ROOTS[kind].fields, ""), sections, strict=True):
        for name, sign, bound in ROW.findall(section):
            least = float(bound.replace(",", ""))
            with pytest.raises(ValidationError) as refused:
                part.model_validate({name: least if sign == ">" else least - 1})
            assert any(error["loc"][0] == name for error in refused.value.errors()), (part, name)
            tried += 1
    assert tried > 25


@pytest.mark.parametrize("kind", schema.ROOTS)
def test_required_fields_on_the_page_are_those_that_validation_misses(kind: str) -> None:
    top = schema.page(kind).split("## At the top\n")[1].split("\n## ")[0]
    required = set(re.findall(r"^\| `(\w+)` \| .*\*\*required\*\*", top, re.MULTILINE))
    with pytest.raises(InputError) as refused:
        validated(schema.ROOTS[kind].fields, {"kind": kind}, "a scenario")
    missing = str(refused.value).split(" is missing")[0]
    assert missing in required


def test_links_between_pages_and_to_sections_lead_somewhere() -> None:
    from reference.markdown import slug

    for kind in schema.ROOTS:
        text = PAGES[f"reference/fields/{kind}.md"]()
        headings = {slug(heading) for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
