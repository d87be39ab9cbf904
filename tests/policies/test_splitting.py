"""Policies that split a device: what they answer to what they see."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.policies.splitting import Attained, Feedback, Fixed, Proactive, SplitPolicy, StepSeconds
from simulator.specs.load import ObjectiveSpec
from simulator.specs.phases import SplitSpec

TENTHS = SplitSpec().shares()


@dataclass
class View:
    """A device on which a prompt step takes `prompt` seconds on all units, decoding `decode` on half of them."""

    now: float = 0.0
    units: float = 0.5
    splits: tuple[float, ...] = TENTHS
    prompt_backlog: int = 0
    decoding: int = 1
    kv_utilisation: float = 0.0
    attained: Attained = field(default_factory=Attained)
    prompt: float = 1.0
    decode: float = 0.01

    def predicted(self, units: float) -> StepSeconds:
        return StepSeconds(self.prompt / units, self.decode * max(1.0, 0.5 / (1.0 - units)))


def asked(policy: SplitPolicy, view: View) -> float:
    view.units = policy.units(view)
    return view.units


def test_the_shares_are_the_multiples_between() -> None:
    assert TENTHS == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert SplitSpec(step=0.5).shares() == (0.5,)
    assert SplitSpec(step=0.3).shares() == (0.3, 0.6, 0.9)


def test_fixed_keeps_the_split() -> None:
    assert Fixed().units(View(units=0.3)) == 0.3


def test_feedback_helps_the_phase_that_misses_more_after_its_delay() -> None:
    policy, view = Feedback(interval_s=5.0, switch_s=2.0), View()
    view.attained.ttft_missed, view.attained.tpot_met = 3, 10
    assert asked(policy, view) == 0.5
    view.now = 5.0
    assert asked(policy, view) == 0.5
    view.now = 6.9
    assert asked(policy, view) == 0.5
    view.now = 7.0
    assert asked(policy, view) == pytest.approx(0.6)
    # Nothing was observed since: it stays. Then decoding misses.
    view.now = 12.0
    assert asked(policy, view) == pytest.approx(0.6)
    view.attained.tpot_missed = 5
    view.now = 17.0
    asked(policy, view)
    view.now = 19.0
    assert asked(policy, view) == pytest.approx(0.5)


def test_feedback_rests_while_both_attain() -> None:
    policy, view = Feedback(switch_s=0.0), View(now=10.0)
    view.attained.ttft_met, view.attained.ttft_missed, view.attained.tpot_met = 97, 3, 100
    assert asked(policy, view) == 0.5
    view.now, view.attained.ttft_missed = 20.0, 40
    assert asked(policy, view) == pytest.approx(0.6)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
def test_feedback_stays_among_the_splits(seen: list[tuple[bool, int]]) -> None:
    policy, view = Feedback(interval_s=1.0, switch_s=0.0, by=0.3), View()
    for prompts, missed in seen:
        view.now += 1.0
        view.attained.ttft_missed += missed if prompts else 0
        view.attained.tpot_missed += 0 if prompts else missed
        assert asked(policy, view) in TENTHS


def test_proactive_gives_prompts_all_that_decoding_can_spare() -> None:
    """Decoding keeps within 1.3 times its quickest down to 0.5 / 1.3 = 0.38 of the units, so prompts may have 0.6."""
    assert asked(Proactive(), View(units=0.2)) == 0.6


def test_proactive_keeps_the_objective_where_told() -> None:
    """Decoding may take 20 ms, twice its quickest: on a quarter of the units, which a split of 0.7 leaves it."""
    policy = Proactive(tpot_share=1.0, objectives=ObjectiveSpec(tpot_ms=20.0))
    assert asked(policy, View(units=0.2)) == 0.7
    with pytest.raises(ValueError, match="needs an objective"):
        Proactive(tpot_share=1.0, objectives=ObjectiveSpec())


def test_proactive_quickens_decoding_under_kv_pressure() -> None:
    """Prompts may then take 1.3 times their quickest, which is at 0.9: at least 0.69 of the units."""
    assert asked(Proactive(), View(units=0.2, kv_utilisation=0.95)) == 0.7


def test_proactive_leaves_a_split_that_is_near_enough() -> None:
    assert asked(Proactive(hysteresis=0.15), View(units=0.5)) == 0.5
    assert asked(Proactive(hysteresis=0.15), View(units=0.4)) == 0.6
    # One that breaks the bound is left at once.
    assert asked(Proactive(hysteresis=0.15), View(units=0.7)) == 0.6


def test_proactive_comes_as_near_as_it_can() -> None:
    policy = Proactive(tpot_share=1.0, objectives=ObjectiveSpec(tpot_ms=5.0))
    assert asked(policy, View(units=0.9)) == 0.1


@pytest.mark.parametrize("options", [{"decode_slack": 0.9}, {"prompt_slack": 0.5}, {"tpot_share": 0.0}])
def test_wrong_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"slack|tpot_share"):
        Proactive(**options, objectives=ObjectiveSpec(tpot_ms=20.0))
