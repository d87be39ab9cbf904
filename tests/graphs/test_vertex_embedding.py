"""Embeddings of vertices: arithmetic by hand, and what grows with vertices or with edges."""

import numpy as np
import pytest

from simulator.workloads.graphs.catalogue import family_model
from simulator.workloads.graphs.counting import count_model


def flops(method: str, vertices: int = 1024, edges: int = 10_000, **options):
    built = family_model("vertex_embedding", "test", 1, method=method, vertices=vertices, edges=edges, **options)
    return count_model(built).flops


def test_projections_add_a_row_for_both_ends_of_each_edge():
    """A product and a sum a number, for each power but for the weighted sum of all."""
    one, two = (flops("projection", width=64, powers=p) for p in (1, 2))
    assert one == pytest.approx(2 * 2 * 10_000 * 64)
    assert two == pytest.approx(2 * one + 1024 * 64)


def test_walks_train_every_pair_against_its_path_in_the_tree():
    """Mean of window draws of 1 to 10 on both sides is 11; the tree of 1,024 leaves is 10 deep; six FLOPs a number."""
    places = 1024 * 80 * 40
    distances = np.arange(1, 11)
    pairs = places * 2 * distances.mean()
    assert flops("walks", width=64) == pytest.approx(pairs * (10 + 1) * 64 * 6)


def test_projections_grow_with_edges_and_walks_with_vertices():
    assert flops("walks", edges=20_000) == flops("walks")
    assert flops("projection", edges=20_000, powers=1) == 2 * flops("projection", powers=1)
    assert flops("walks", vertices=2048) > 2 * flops("walks")
