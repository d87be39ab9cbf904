"""Interconnects as data: what one device can put on a link, and how much of that arrives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simulator.errors import unknown_name
from simulator.yaml_io import Fields

LINKS = Path(__file__).with_name("links.yaml")


@dataclass(frozen=True, slots=True)
class Link:
    """One kind of link, as one device sees it.

    `bandwidth` is nominal, in bytes/s in one direction, the sum over the device's ports of that kind; `latency` is
    the seconds a small message takes from end to end in software, one hop; `efficiency` is the share of the nominal
    bandwidth that large messages reach.
    """

    name: str
    bandwidth: float
    latency: float
    efficiency: float
    source: str


def link(name: str) -> Link:
    """The link of this name (upper and lower case are one). Raises `InputError` if there is none."""
    links = _links()
    key = str(name).strip().lower()
    if key not in links:
        raise unknown_name("link", name, links)
    return links[key]


def link_names() -> list[str]:
    """The names of all links, sorted."""
    return sorted(_links())


@cache
def _links() -> dict[str, Link]:
    return read_links(LINKS)


def read_links(path: str | Path) -> dict[str, Link]:
    """The links of a YAML file that maps names to `{bandwidth, latency, efficiency, source}`.

    Raises `InputError` naming field, file and line for a missing, unknown or impossible value.
    """
    fields = Fields.load(path)
    return {name: _link(name, fields.fields(name)) for name in fields.names()}


def _link(name: str, fields: Fields) -> Link:
    fields.only(("bandwidth", "latency", "efficiency", "source"))
    return Link(
        name=name,
        bandwidth=fields.number("bandwidth"),
        latency=fields.number("latency", above=False, most=10.0),
        efficiency=fields.number("efficiency", most=1.0),
        source=fields.text("source"),
    )
