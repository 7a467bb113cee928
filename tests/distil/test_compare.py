from __future__ import annotations

import pytest

from hyperagent.distil.compare import FEWEST_PARENTS, Trial, compare, summarise, verdict


def trials(gains: list[list[float | None]], own: bool = True) -> list[Trial]:
    """One list of gains per parent."""
    return [
        Trial(f"tree {parent}", number, f"{parent}-{number}", "evaluated", own, gain)
        for parent, row in enumerate(gains)
        for number, gain in enumerate(row)
    ]


def test_an_edit_drawn_at_random_is_not_to_the_models_credit():
    (drawn,), (own,), (nothing,) = trials([[0.5]], own=False), trials([[0.5]]), trials([[None]])
    assert (drawn.improved, own.improved, nothing.improved) == (False, True, False)


def test_clearly_better_on_enough_parents_is_offered():
    base = summarise("base", "local/a", trials([[0.0, 0.0]] * FEWEST_PARENTS))
    adapter = summarise("adapter", "local/a+b", trials([[0.1, 0.1]] * FEWEST_PARENTS))
    found = compare(base, adapter)
    assert (found.difference.estimate, found.difference.low) == (1.0, 1.0)
    assert (found.test.wins, found.test.losses) == (2 * FEWEST_PARENTS, 0)
    assert verdict(found, FEWEST_PARENTS)[0]
    assert verdict(compare(adapter, base), FEWEST_PARENTS)[0] is False
    offered, why = verdict(found, FEWEST_PARENTS - 1)
    assert not offered
    assert "needed" in why


def test_a_difference_that_chance_explains_is_not_offered():
    base = summarise("base", "local/a", trials([[0.1 * (n % 2), 0.0] for n in range(12)]))
    adapter = summarise("adapter", "local/a+b", trials([[0.1 * (n % 3 != 1), 0.0] for n in range(12)]))
    found = compare(base, adapter)
    assert found.difference.estimate > 0
    assert found.difference.low <= 0
    offered, why = verdict(found, 12)
    assert not offered
    assert "not shown to be better" in why


def test_proposals_of_one_parent_count_as_one_draw():
    """Twelve parents, of which three always improve: many proposals of each make the interval no narrower."""
    few = summarise("adapter", "m", trials([[1.0 if n < 3 else 0.0] * 2 for n in range(12)]))
    many = summarise("adapter", "m", trials([[1.0 if n < 3 else 0.0] * 50 for n in range(12)]))
    assert few.improved.high - few.improved.low == pytest.approx(many.improved.high - many.improved.low, abs=0.05)


def test_arms_of_other_proposals_are_refused():
    with pytest.raises(ValueError, match="same proposals"):
        compare(summarise("base", "a", trials([[0.0]])), summarise("adapter", "b", trials([[0.0], [0.0]])))
