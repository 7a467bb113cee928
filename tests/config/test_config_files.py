"""The way of a configuration in and out: precedence, every kind of bad input, round trips."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.config import (
    SELECTIONS,
    BenchmarkConfig,
    BudgetConfig,
    Config,
    LimitsConfig,
    ModelsConfig,
    all_keys,
    change_resumable,
    from_json,
    load_config,
    render_template,
    to_json,
)
from hyperagent.errors import ConfigError


def load(tmp_path: Path, text: str, **others: object) -> Config:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, **others)  # type: ignore[arg-type]


def refused(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return caught.value


def test_no_file_gives_the_defaults() -> None:
    assert load_config(None) == Config()


def test_the_template_runs_as_it_is_and_documents_every_key(tmp_path: Path) -> None:
    text = render_template()
    assert load(tmp_path, text) == Config()
    lines = text.splitlines()
    for key in all_keys():
        name = key.rpartition(".")[2]
        places = [number for number, line in enumerate(lines) if line.startswith(f"{name} = ")]
        assert places, key
        assert all(lines[number - 1].startswith("# ") for number in places), f"{key} has no documentation"


def test_precedence(tmp_path: Path) -> None:
    text = "[budget]\nvariants = 3\ntokens = 30\ncost = 0.3\n"
    environment = {"HYPERAGENT_BUDGET__TOKENS": "40", "HYPERAGENT_BUDGET__COST": "0.4"}
    budget = load(tmp_path, text, environment=environment, settings=["budget.cost=0.5"]).budget
    assert budget == BudgetConfig(variants=3, tokens=40, cost=0.5)


def test_variables_that_are_no_keys_are_left_alone() -> None:
    environment = {
        "HYPERAGENT_ARCHIVE": "/x",
        "HYPERAGENT_MODELS": "/y",
        "HYPERAGENT_BENCHMARK_DATA": "/z",
        "A__B": "1",
    }
    assert load_config(None, environment=environment) == Config()


def test_lists_of_tables_are_set_by_index_and_grow_by_one() -> None:
    settings = ["benchmarks.0.screen=5", "benchmarks.1.name=coding", "benchmarks.1.validation=20"]
    first, second = load_config(None, settings=settings).benchmarks
    assert first == BenchmarkConfig(screen=5)
    assert second == BenchmarkConfig(name="coding", validation=20)


@pytest.mark.parametrize(
    ("text", "value"), [('"a b"', "a b"), ("plain", "plain"), ("'q'", "q"), ("", ""), ("a=b", "a=b")]
)
def test_strings_in_settings_need_no_quotes(text: str, value: str) -> None:
    assert load_config(None, settings=[f"sandbox.image={text}"]).sandbox.image == value


@pytest.mark.parametrize(
    ("text", "serve", "served"),
    [
        ("", "", ()),
        ("[models.mutation]\nserve = true\n", "mutation", ("local/auto",)),
        ("[models.mutation]\nmodel = 'local/m'\nserve = true\n", "mutation", ("local/m",)),
        ("[models.mutation]\nmodel = 'local/m'\n", "", ()),
        ("[models.mutation]\nmodel = 'local/m'\nserve = false\n", "", ()),
        ("[models.mutation]\nserve = true\n[models.evaluation]\nserve = true\n", "both", ("local/auto",)),
        ("[models]\nserve = 'both'\nevaluation = 'local/e'\n", "both", ("local/auto", "local/e")),
        ("[models]\nmodel = 'openai/x'\nmutation = {model = 'local/m', serve = true}\n", "mutation", ("local/m",)),
    ],
)
def test_a_model_to_serve_is_a_table_or_a_key(tmp_path: Path, text: str, serve: str, served: tuple[str, ...]) -> None:
    config = load(tmp_path, text)
    assert (config.models.serve, config.models.served) == (serve, served)
    assert from_json(to_json(config)) == config


def test_a_configuration_from_before_serving_is_still_read() -> None:
    stored = to_json(Config())
    del stored["models"]["serve"]
    assert from_json(stored) == Config()


BAD_FILES = [
    ("[budget]\n\nvarants = 3\n", "c.toml:3: unknown key budget.varants", "budget.variants"),
    ("selection = 'best'\n", "c.toml:1: unknown key selection", "search.selection"),
    ("[serch]\nworkers = 2\n", "c.toml:1: unknown key serch", "search"),
    ("[[benchmarks]]\n[[benchmarks]]\nname = 'b'\nscren = 3\n", "c.toml:4: unknown key benchmarks.1.scren", "screen"),
    ("[limits]\ncpus = 'two'\n", "c.toml:2: limits.cpus must be a number, not 'two'", "Processor share"),
    ("[budget]\nvariants = 2.5\n", "c.toml:2: budget.variants must be a whole number, not 2.5", ""),
    ("[budget]\nvariants = true\n", "c.toml:2: budget.variants must be a whole number, not True", ""),
    ("[budget]\ncost = nan\n", "c.toml:2: budget.cost must be a finite number", ""),
    ("[budget]\ncost = inf\n", "c.toml:2: budget.cost must be a finite number", ""),
    ("seed = 99999999999999999999\n", "c.toml:1: seed is too large", ""),
    ("name = 3\n", "c.toml:1: name must be a string, not 3", ""),
    ("[search]\nworkers = 0\n", "c.toml:2: search.workers must be between 1 and 64, not 0", ""),
    ("[budget]\nvariants = -1\n", "c.toml:2: budget.variants must be at least 0, not -1", ""),
    ("[search]\nselection = 'bst'\n", "c.toml:2: search.selection must be one of", "'best'"),
    ("budget = 3\n", "c.toml:1: budget must be a table, not 3", "[budget]"),
    ("benchmarks = 'math'\n", "c.toml:1: benchmarks must be a list of tables", "[[benchmarks]]"),
    ("[benchmarks]\nname = 'm'\n", "c.toml:1: benchmarks must be a list of tables", "[[benchmarks]]"),
    ("benchmarks = []\n", "c.toml:1: benchmarks is empty", ""),
    ("[budget]\nvariants = 0\n", "c.toml:2: budget.variants and budget.steps are both 0", ""),
    ("[budget]\nvariants = 9\nsteps = 3\n", "c.toml:3: budget.steps = 3 attempts can never make 9", ""),
    ("[[benchmarks]]\nscreen = 30\nvalidation = 20\n", "c.toml:2: benchmarks.0.screen = 30 tasks is more than", ""),
    ("[[benchmarks]]\n[[benchmarks]]\n", "c.toml:2: benchmarks.1.name appears twice", ""),
    ("[models]\nmodel = ' '\n", "c.toml:2: models.model is empty", "local/auto"),
    ("[models]\nmodel = 'random/uniform'\n", "c.toml:2: models.model cannot be", "models.mutation"),
    ("[models]\nmutation = 'gpt 5'\n", "c.toml:2: models.mutation is not a model string", ""),
    ("[models.mutation]\nserv = true\n", "c.toml:2: models.mutation.serv is not known", "model, serve"),
    ("[models.mutation]\nserve = 1\n", "c.toml:2: models.mutation.serve must be true or false", ""),
    ("[models.mutation]\nmodel = 3\n", "c.toml:2: models.mutation.model must be a model string", ""),
    ("[models]\nserve = 'both'\n[models.mutation]\nserve = true\n", "c.toml:2: models.serve and models.mutation", ""),
    ("[models]\nserve = 'mutation'\nmutation = 'a/b'\n", "c.toml:2: models.serve cannot serve 'a/b'", "local/NAME"),
    ("name = 'a/b'\n", "c.toml:1: name cannot name a campaign", ""),
    ("name = '..'\n", "c.toml:1: name cannot name a campaign", ""),
    ('[sandbox]\nimage = "a\\u001bb"\n', "c.toml:2: sandbox.image must be one line", ""),
    ("program = 'nowhere'\n", "program is not a directory", "shipped program"),
    ("name = unquoted\n", "is not valid TOML", "quotes"),
    ("a = 1\na = 2\n", "is not valid TOML", ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), BAD_FILES, ids=[message for _, message, _ in BAD_FILES])
def test_bad_files(tmp_path: Path, text: str, message: str, hint: str) -> None:
    error = refused(tmp_path, text)
    assert message in error.message
    assert "c.toml" in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("budget.varants=4", "--set budget.varants: unknown key"),
        ("budget=4", "--set budget: budget is not a single value"),
        ("benchmarks=4", "benchmarks is not a single value"),
        ("benchmarks.0=4", "is not a single value"),
        ("benchmarks.5.screen=4", "benchmarks.5 does not exist"),
        ("benchmarks.x.screen=4", "benchmarks.x does not exist"),
        ("benchmarks.0.scren=4", "unknown key benchmarks.0.scren"),
        ("budget.variants=four", "budget.variants must be a whole number, not 'four'"),
        ("budget.variants.x=4", "budget.variants is not a single value"),
        ("nonsense", "is not of the form section.key=value"),
        ("=3", "is not of the form section.key=value"),
        ("search.workers=65", "--set search.workers: search.workers must be between 1 and 64"),
    ],
)
def test_bad_settings(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings=[setting])
    assert message in caught.value.message


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"environment HYPERAGENT_BUDGET__TOKENS: budget\.tokens must be"):
        load_config(None, environment={"HYPERAGENT_BUDGET__TOKENS": "many"})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'name = "\xe9"\n')
    for path, message in ((tmp_path / "no.toml", "no such"), (tmp_path, "is a directory"), (latin, "not UTF-8")):
        with pytest.raises(ConfigError, match=message) as caught:
            load_config(path)
        assert caught.value.hint


def test_a_program_belongs_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert load(tmp_path, 'program = "mine"\n').program == str(tmp_path / "mine")


def test_a_resumed_campaign_may_raise_caps_and_nothing_else() -> None:
    changed = change_resumable(Config(), ["budget.variants=32", "search.workers=1"])
    assert (changed.budget.variants, changed.search.workers) == (32, 1)
    with pytest.raises(ConfigError, match="cannot change"):
        change_resumable(Config(), ["models.model=openai/other"])


def test_stored_configuration_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="stored configuration: unknown key new_key"):
        from_json({**to_json(Config()), "new_key": 1})


WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
CONFIGS = st.builds(
    Config,
    name=WORDS,
    seed=st.integers(0, 2**63 - 1),
    budget=st.builds(
        BudgetConfig,
        variants=st.integers(1, 50),
        steps=st.just(0) | st.integers(50, 500),
        cost=st.floats(0, 1e6, allow_nan=False),
    ),
    models=st.builds(ModelsConfig, model=WORDS.map("local/{}".format), mutation=st.just("random/uniform") | WORDS),
    benchmarks=st.lists(
        st.builds(BenchmarkConfig, name=WORDS, screen=st.integers(0, 10), validation=st.integers(10, 90)),
        min_size=1,
        max_size=3,
        unique_by=lambda benchmark: benchmark.name,
    ).map(tuple),
    limits=st.builds(LimitsConfig, cpus=st.floats(0.1, 16)),
)


@given(CONFIGS)
def test_json_round_trip(config: Config) -> None:
    assert from_json(to_json(config)) == config


@given(CONFIGS)
def test_settings_say_the_same_as_fields(config: Config) -> None:
    settings = [
        f"budget.variants={config.budget.variants}",
        f"budget.cost={config.budget.cost!r}",
        f"name={config.name}",
    ]
    expected = replace(
        Config(), name=config.name, budget=BudgetConfig(variants=config.budget.variants, cost=config.budget.cost)
    )
    assert load_config(None, settings=settings) == expected


@given(st.text(max_size=200))
def test_any_text_loads_or_is_one_config_error(text: str) -> None:
    with suppress(ConfigError):
        assert load_config(None, settings=[text]) is not None


def test_every_selection_is_accepted() -> None:
    for name in SELECTIONS:
        assert load_config(None, settings=[f"search.selection={name}"]).search.selection == name
