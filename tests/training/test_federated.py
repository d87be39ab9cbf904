"""Federated training against Little's law, order statistics and the entropy of what is sent."""

from __future__ import annotations

from math import log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cli import main
from simulator.engine.training.federated.clients import Clients, Population, Spread, Task, clients_of
from simulator.engine.training.federated.gathering import Gathered, gather, poll
from simulator.errors import InputError
from simulator.policies.federated import Asynchronous, Buffered, Polling, Server, Synchronous
from simulator.policies.upload import Dense, FedZip, golomb_bits


def clients(count: int = 200, *, deviation: float = 0.5, seed: int = 1) -> Clients:
    """A step of about a second, an upload of about two, a download of about one."""
    population = Population(
        count, Spread(1e9, deviation), Spread(2e6, deviation), Spread(4e6, deviation), 0.0, 2.0, 1.0
    )
    return clients_of(population, Task(1e9, 5, 1_000_000, Dense()), seed)


def run(server: Server, drawn: Clients, until: float = 5000.0) -> Gathered:
    return gather(drawn, 5, server, until, seed=2)


def test_clients_that_are_alike_take_part_in_lockstep() -> None:
    drawn = clients(deviation=0.0)
    found = run(Synchronous(10), drawn)
    round_s = 5 * 1.0 + 2.0 + 1.0
    assert found.updates == 5000 // round_s
    assert found.used.sum() == 10 * found.updates
    assert found.given_up == 0
    assert found.staleness.max() == 0


def test_a_round_of_all_takes_as_long_as_its_slowest_client() -> None:
    drawn = clients(50)
    slowest = float((drawn.down + 5 * drawn.step + drawn.up).max())
    assert run(Synchronous(50), drawn).updates == int(5000 // slowest)


def test_staleness_is_that_of_littles_law() -> None:
    """Clients under way over updates that make one of the model: so many go by while a client works."""
    for clients_at_once, buffer in ((100, 10), (40, 1)):
        drawn = clients()
        found = run(Buffered(clients_at_once, buffer), drawn, 20_000.0)
        assert found.staleness.mean() == pytest.approx(clients_at_once / buffer, rel=0.05)
        rate = found.used.sum() / 20_000.0
        assert rate * _mean_time(drawn, found) == pytest.approx(clients_at_once, rel=0.05)


def _mean_time(drawn: Clients, found: Gathered) -> float:
    whole = drawn.down + 5 * drawn.step + drawn.up
    return float((whole * found.used).sum() / found.used.sum())


def test_asynchronous_is_a_buffer_of_one() -> None:
    drawn = clients()
    one, other = run(Asynchronous(30), drawn), run(Buffered(30, 1), drawn)
    assert one.updates == other.updates == one.used.sum()


def test_a_deadline_gives_slow_clients_up() -> None:
    drawn = clients()
    whole = drawn.down + 5 * drawn.step + drawn.up
    deadline = float(np.median(whole))
    found = run(Synchronous(20, deadline_s=deadline), drawn)
    assert found.updates == int(5000 // deadline)
    assert found.given_up / (found.given_up + found.used.sum()) == pytest.approx(0.5, abs=0.03)
    assert not found.used[whole > deadline].any()


def test_selecting_more_clients_than_are_needed_shortens_rounds() -> None:
    drawn = clients()
    plain, over = run(Synchronous(20), drawn), run(Synchronous(20, over=10), drawn)
    assert over.updates > plain.updates
    assert over.given_up == 10 * over.updates


def test_polls_take_what_clients_have_done() -> None:
    """Alike clients with nothing to send: each poll after 2.5 s of 4-second tasks finds two steps or a few more."""
    still = Clients(np.ones(10), np.zeros(10), np.zeros(10), np.zeros(10))
    found = poll(still, 100, Polling(10, 2.5), 1000.0, seed=1)
    assert found.updates == 400
    assert found.steps == 400 * 10 * 2
    assert found.staleness.max() == 0
    capped = poll(still, 1, Polling(10, 2.5), 1000.0, seed=1)
    assert capped.steps == 400 * 10


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 25), st.integers(0, 5), st.floats(5.0, 100.0), st.integers(1, 20), st.integers(0, 100))
def test_no_client_is_in_two_places(count: int, over: int, deadline: float, buffer: int, seed: int) -> None:
    """Seconds of work of all clients together never exceed those that there were, and steps are those of updates."""
    drawn = clients(30, seed=seed)
    for server in (Synchronous(count, deadline, over), Buffered(count, buffer)):
        found = gather(drawn, 5, server, 500.0, seed)
        assert found.steps == 5 * found.used.sum()
        assert found.updates <= found.used.sum() == found.staleness.size
        if not found.given_up:
            assert found.computing + found.sending + found.getting <= 500.0 * 30


def test_a_server_cannot_have_more_clients_than_there_are() -> None:
    drawn = clients(10, seed=0)
    for server in (Synchronous(9, over=2), Buffered(11)):
        with pytest.raises(InputError, match="11 clients at once are more than the 10 there are"):
            gather(drawn, 1, server, 10.0, 0)
    with pytest.raises(InputError, match="11 clients at once are more than the 10"):
        poll(drawn, 1, Polling(11), 20.0, 0)
    assert gather(drawn, 1, Synchronous(9, over=1), 100.0, 0).steps > 0


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.6])
def test_gaps_are_coded_near_their_entropy(share: float) -> None:
    """Bits of a gap exceed those of its entropy by little, and are those of the code counted gap by gap."""
    entropy = -log2(share) - (1 - share) / share * log2(1 - share)
    assert entropy <= golomb_bits(share) <= entropy + 0.05 if share < 0.5 else golomb_bits(share) >= entropy
    group = next(m for m in range(1, 10**6) if (1 - share) ** m + (1 - share) ** (m + 1) <= 1)
    whole = (group - 1).bit_length()
    short = (1 << whole) - group
    gaps = np.arange(40_000)
    lengths = gaps // group + 1 + np.where(gaps % group < short, max(0, whole - 1), whole)
    counted = float((lengths * share * (1 - share) ** gaps).sum())
    assert golomb_bits(share) == pytest.approx(counted, rel=1e-6)


def test_compressing_costs_time_and_saves_bits() -> None:
    zipped = FedZip(keep=0.01, clusters=3)
    assert zipped.bits(10**6) < 32e6 / 200
    assert zipped.bits(10**6) > 10**4 * (log2(3) + 8.0)
    assert zipped.flops(10**6) > Dense().flops(10**6) == 0.0
    assert FedZip(keep=0.001).bits(10**6) < zipped.bits(10**6) < FedZip(clusters=16).bits(10**6)


def test_a_scenario_runs_and_wrong_ones_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[2] / "simulator" / "scenarios" / "training" / "federated-buffered.yaml"
    assert main(["train", str(example), "--set", "hours=1", "--out", str(tmp_path)]) == 0
    assert "staleness" in capsys.readouterr().out
    for setting, message in (
        ("server.policy=buffred", "buffered"),
        ("server={policy: buffered, options: {buffer: 0}}", "buffer is 0"),
        ("upload={policy: fedzip, options: {keep: 2}}", "keep has to be"),
        ("local_steps=0", "local_steps"),
    ):
        assert main(["train", str(example), "--set", setting]) == 2
        assert message in capsys.readouterr().err
