from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.distil.pairs import Mutation, digest_of, made_edit, shuffled, split_by_parent, training_pairs


def mutation(number: int, tree: str, improved: bool = True, reply: str = "{}") -> Mutation:
    message = {"role": "user", "content": f"situation {number}"}
    return Mutation(f"v{number}", f"p{tree}", tree, (message,), reply, improved)


histories = st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans(), st.booleans()), min_size=2, max_size=40).map(
    lambda rows: [mutation(n, tree, good, "{}" if own else "") for n, (tree, good, own) in enumerate(rows)]
)


@given(histories, st.floats(0.01, 0.9), st.integers(0, 5))
def test_no_program_is_parent_on_both_sides(history, share, seed):
    trees = {one.parent_tree for one in history}
    if len(trees) < 2:
        with pytest.raises(ValueError, match="divided"):
            split_by_parent(history, share, seed)
        return
    train, held = split_by_parent(history, share, seed)
    assert train
    assert held
    assert not {one.parent_tree for one in train} & {one.parent_tree for one in held}
    assert sorted(one.variant for one in train + held) == sorted(one.variant for one in history)
    assert split_by_parent(history[::-1], share, seed)[1] == held[::-1]  # the order of the history decides nothing


@given(histories, st.integers(0, 5))
def test_the_control_learns_from_as_many_edits(history, seed):
    dealt = shuffled(history, seed)
    assert sum(one.improved for one in dealt) == sum(one.improved and bool(one.reply) for one in history)
    assert len(training_pairs(dealt)) == len(training_pairs(history))
    assert shuffled(history, seed) == dealt


def test_the_control_is_another_set():
    history = [mutation(n, str(n), n % 2 == 0) for n in range(40)]
    assert digest_of(training_pairs(shuffled(history, 1))) != digest_of(training_pairs(history))


def test_only_edits_of_the_models_own_that_improved_are_learnt():
    history = [mutation(1, "a"), mutation(2, "a", improved=False), mutation(3, "b", reply=""), mutation(1, "c")]
    assert [pair.messages[0]["content"] for pair in training_pairs(history)] == ["situation 1"]


@pytest.mark.parametrize(
    ("reply", "summary", "edit"),
    [
        ('{\n "edit": "reply",\n "word": "7"\n}', "reply: word 7, (train: 1 -> 2)", '{"edit": "reply", "word": "7"}'),
        ('{"edit": "reply", "word": "8"}', "reply: word 7", ""),
        ('{"edit": "reply"}', "at random, no reply fitted: reply: word 7", ""),
        ('{"edit": "remove", "statement": "if a:\\n    b"}', "remove: statement if a:\n    b", None),
        ("no json", "no json", ""),
        ("[1]", "1", ""),
        ("{}", "", ""),
    ],
)
def test_an_edit_is_the_models_where_the_summary_says_so(reply, summary, edit):
    found = made_edit(reply, summary)
    assert found == edit if edit is not None else found.startswith('{"edit": "remove"')


def test_the_digest_covers_order_and_text():
    one, two = training_pairs([mutation(1, "a"), mutation(2, "b")])
    assert len({digest_of([one, two]), digest_of([two, one]), digest_of([one])}) == 3
