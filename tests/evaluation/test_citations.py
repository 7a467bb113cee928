from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.evaluation.citations import MOST_QUOTES, Citations, check_citations, quotes_of
from hyperagent.types import Json, Task

PAPER = "We trained on 500 patients.\n  The test patients were\tamong them.\nNo baseline was run, for lack of time."


def task(spans: list[str] | None = None, **input: Json) -> Task:
    return Task("t", "toy", "test", "g", input or {"paper": PAPER}, {"label": "reject", "spans": spans})


def check(*quotes: Json, spans: list[str] | None = None) -> Citations:
    return check_citations(task(spans), quotes_of({"response": "reject", "citations": list(quotes)}))


def test_quotes_are_found_word_for_word_but_for_white_space() -> None:
    assert check("The test patients  were among\nthem.").grounded == 1
    assert check("the test patients were among them.").grounded == 0
    assert check("The test patients were not among them.").grounded == 0
    assert check("We trained on 500 patients. The test").grounded == 1


def test_short_quotes_are_no_evidence_but_count_as_quotes() -> None:
    assert check("No baseline") == Citations(quotes=1, grounded=0)
    assert check("No baseline was") == Citations(quotes=1, grounded=1)


def test_repeating_a_quote_gains_nothing() -> None:
    assert check("No baseline was run", "No baseline  was run", "and this is made up") == Citations(2, 1)


def test_the_question_is_no_evidence() -> None:
    given = task(
        None, paper="something else entirely", instructions="Answer with accept or reject.", answers=["a" * 20]
    )
    assert check_citations(given, ["Answer with accept", "a" * 20]).grounded == 0


def test_nested_members_and_files_are_texts_of_their_own() -> None:
    nested = task(None, sections=[{"title": "A long enough title", "body": "with a body below it"}], year=2022)
    assert check_citations(nested, ["A long enough title"]).grounded == 1
    assert check_citations(nested, ["A long enough title with a body"]).grounded == 0
    filed = Task("t", "toy", "test", "g", {"question": "?"}, {}, files={"a.py": "def solve(number):\n    return 1"})
    assert check_citations(filed, ["def solve(number): return 1"]).grounded == 1


SPANS = ["The test patients were among them.", "No baseline was run"]


@pytest.mark.parametrize(
    ("quotes", "located", "hit"),
    [
        (["test patients were among"], 1, 1),
        (["The test patients were among them. No"], 1, 1),  # a little around the place
        (["We trained on 500 patients."], 0, 0),
        ([PAPER], 0, 0),  # the whole input locates nothing
        (["The test patients were", "patients were among them."], 2, 1),
        (["The test patients were", "No baseline was run"], 2, 2),
        (["on 500 patients. The test"], 0, 0),  # overlaps by less than half
    ],
)
def test_a_quote_is_located_where_most_of_it_lies_on_a_place(quotes: list[str], located: int, hit: int) -> None:
    found = check(*quotes, spans=SPANS)
    assert (found.located, found.hit, found.spans) == (located, hit, 2)
    assert found.grounded == len(quotes)


def test_any_place_where_the_quote_stands_will_do() -> None:
    text = "the method fails here and later the method fails here"
    found = check_citations(task(["later the method fails here"], paper=text), ["the method fails here"])
    assert (found.grounded, found.located) == (1, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, json_values)
def test_nothing_that_a_program_says_is_a_reason_to_fail(prediction: Json, citations: Json) -> None:
    for hostile in (prediction, {"response": "x", "citations": citations}):
        quotes = quotes_of(hostile)
        found = check_citations(task(SPANS), quotes)
        assert 0 <= found.located <= found.grounded <= found.quotes == len(quotes)
        assert 0 <= found.hit <= found.spans


def test_forms_of_citations() -> None:
    assert quotes_of("an answer") == quotes_of({"response": 1}) == quotes_of({"citations": None}) == ()
    assert quotes_of({"citations": "one quote alone"}) == ("one quote alone",)
    assert quotes_of({"citations": [1, {}, "a  quote"]}) == ("", "a quote")


def test_a_flood_of_quotes_is_not_searched_for() -> None:
    flood = [f"made up quote {number}" for number in range(10 * MOST_QUOTES)]
    found = check(*flood, "No baseline was run")
    assert (found.quotes, found.grounded) == (10 * MOST_QUOTES + 1, 0)
