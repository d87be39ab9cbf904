"""Collective operations as phases of flows between devices; sizes in bytes, `message` as in `Collective`.

Ring, halving and doubling: Thakur, Rabenseifner and Gropp, 2005. Double binary trees: Sanders, Speck and Traff,
"Two-tree algorithms for full bandwidth broadcast, reduction and scan", 2009. Reduction in the network: Graham et al.,
"Scalable Hierarchical Aggregation Protocol (SHARP)", COM-HPC 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log2

from simulator.engine.network.flows import Flow, Phase, Program
from simulator.errors import InputError

Ranks = Sequence[int]
Algorithm = Callable[[Ranks, float], Program]


def ring(ranks: Ranks, size: float, hops: int) -> Program:
    """`size` bytes from each rank to the next, around."""
    edges = tuple((a, b) for a, b in zip(ranks, [*ranks[1:], ranks[0]], strict=True))
    return (Phase((Flow(edges, size),), hops),)


def ring_all_reduce(ranks: Ranks, message: float) -> Program:
    """Reduce-scatter and all-gather around a ring."""
    hops = 2 * (len(ranks) - 1)
    return ring(ranks, hops / len(ranks) * message, hops)


def two_way_ring_all_reduce(ranks: Ranks, message: float) -> Program:
    """Half of the message around the ring each way, which uses both links of a torus's axis."""
    ways = (ring_all_reduce(r, message / 2) for r in (list(ranks), list(ranks)[::-1]))
    (one,), (other,) = ways
    return (Phase((*one.flows, *other.flows), one.hops),)


def ring_all_gather(ranks: Ranks, message: float) -> Program:
    """All-gather, or reduce-scatter, of a `message` in all."""
    hops = len(ranks) - 1
    return ring(ranks, hops / len(ranks) * message, hops)


def tree_all_reduce(ranks: Ranks, message: float) -> Program:
    """Up and down two binary trees with half of the message each; who has children in one is a leaf in the other."""
    trees = [_tree_edges(list(ranks)), _tree_edges([*ranks[1:], ranks[0]] if len(ranks) % 2 else list(ranks)[::-1])]
    both = [[e for child, parent in tree for e in ((child, parent), (parent, child))] for tree in trees]
    return (Phase(tuple(Flow(tuple(edges), message / 2) for edges in both), 2 * ceil(log2(len(ranks)))),)


def _tree_edges(ranks: list[int]) -> list[tuple[int, int]]:
    """(child, parent) of an in-order binary tree in which the first, third, fifth rank and so on are leaves."""

    def grow(low: int, high: int) -> int:
        """Join the places from `low` to before `high`, and give their root."""
        root = low + (1 << (high - low).bit_length() - 1) - 1
        for a, b in ((low, root), (root + 1, high)):
            if a < b:
                edges.append((ranks[grow(a, b)], ranks[root]))
        return root

    edges: list[tuple[int, int]] = []
    grow(0, len(ranks))
    return edges


def halving_doubling_all_reduce(ranks: Ranks, message: float) -> Program:
    """Halves exchanged with ever nearer partners, then gathered the same way back.

    Raises `InputError` unless ranks are a power of two.
    """
    count = len(ranks)
    if count & (count - 1):
        raise InputError(
            f"network.all_reduce halving-doubling needs a power of two ranks, not {count}: take ring, tree or fastest"
        )
    phases = []
    far, size = count // 2, message / 2
    while far:
        flows = tuple(Flow(((ranks[i], ranks[i ^ far]),), size) for i in range(count))
        phases.append(Phase(flows))
        far, size = far // 2, size / 2
    return (*phases, *reversed(phases))


def in_network_all_reduce(ranks: Ranks, message: float, router: Sequence[int]) -> Program:
    """Switches add up: each rank sends and receives the message once, each switch passes it up and down once.

    Going from rank to rank in the order of their switches loads ports and links between switches just so.
    """
    return ring(sorted(ranks, key=lambda r: (router[r], r)), message, 2)


def all_to_all(ranks: Ranks, message: float) -> Program:
    """Each rank sends its share to every other; the messages of one sender take turns on its port."""
    size = message / len(ranks)
    return (Phase(tuple(Flow(tuple((a, b) for b in ranks if b != a), size) for a in ranks)),)


def send_recv(ranks: Ranks, message: float) -> Program:
    """One message from the first rank to the second."""
    return (Phase((Flow(((ranks[0], ranks[1]),), message),)),)


def pass_on(ranks: Ranks, message: float) -> Program:
    """Each rank's message to the next rank around."""
    return ring(ranks, message, 1)


def hierarchical_all_reduce(ranks: Ranks, message: float, node: Callable[[int], int], flat: Algorithm) -> Program:
    """Reduce-scatter in nodes, `flat` all-reduces between them, all-gather in nodes, which hold equally many ranks."""
    members = _by_node(ranks, node)
    local = len(members[0])
    inside = together([ring_all_gather(m, message) for m in members]) if local > 1 else ()
    between = together([flat([m[i] for m in members], message / local) for i in range(local)])
    return (*inside, *between, *inside)


def hierarchical_all_gather(ranks: Ranks, message: float, node: Callable[[int], int]) -> Program:
    """Every rank of a node gathers its share from the other nodes, then the ranks of a node share theirs out."""
    members = _by_node(ranks, node)
    local = len(members[0])
    between = together([ring_all_gather([m[i] for m in members], message / local) for i in range(local)])
    return (*between, *together([ring_all_gather(m, message) for m in members])) if local > 1 else between


def _by_node(ranks: Ranks, node: Callable[[int], int]) -> list[list[int]]:
    """The ranks of each node, equally many."""
    found: dict[int, list[int]] = {}
    for rank in ranks:
        found.setdefault(node(rank), []).append(rank)
    members = list(found.values())
    if any(len(m) != len(members[0]) for m in members):
        raise ValueError("a hierarchical collective needs equally many ranks in every node")
    return members


def together(programs: Sequence[Program]) -> Program:
    """Programs of the same form side by side, phase by phase."""
    return tuple(
        Phase(tuple(f for phase in phases for f in phase.flows), max(phase.hops for phase in phases))
        for phases in zip(*programs, strict=True)
    )
