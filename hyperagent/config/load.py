"""Reads, checks and writes :class:`~hyperagent.config.schema.Config`: TOML, environment, ``--set`` and stored JSON.

Every problem is one :class:`~hyperagent.errors.ConfigError` that names the key, where it came from (file and line,
variable, or ``--set``), what was expected, and for an unknown key the nearest valid one.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from hyperagent.config.check import check_combinations
from hyperagent.config.lines import find_line
from hyperagent.config.schema import Config
from hyperagent.config.served import fold_served
from hyperagent.errors import ConfigError
from hyperagent.types import Json

PREFIX = "HYPERAGENT_"
LARGEST = 2**63 - 1
"""The largest integer that the archive can store."""

_EXPECTED = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


@dataclass(frozen=True)
class _Origin:
    """Where values came from: per key path a label that overrides the file's, which is found by scanning its text."""

    file: str
    text: str
    overrides: Mapping[str, str]

    def of(self, key: str) -> str:
        for path, label in self.overrides.items():
            if key == path or path.startswith(key + "."):
                return label
        line = find_line(self.text, key)
        return f"{self.file}:{line}" if line else self.file

    def error(self, key: str, problem: str, hint: str = "") -> ConfigError:
        where = self.of(key)
        return ConfigError(f"{where}: {key} {problem}" if where else f"{key} {problem}", hint=hint)


def load_config(
    path: Path | None, *, environment: Mapping[str, str] | None = None, settings: Sequence[str] = ()
) -> Config:
    """Build the effective configuration: defaults < TOML file < environment < settings.

    Args:
        path: The TOML file; None = defaults only.
        environment: Variables ``HYPERAGENT_SECTION__KEY`` are read, others are left alone.
        settings: ``section.key=value`` texts (``benchmarks.0.screen=5`` for lists of tables).

    Raises:
        ConfigError: The file cannot be read, or a key or value in any of the three is wrong.
    """
    text = _read(path) if path is not None else ""
    data = _parse(text, path)
    fold_served(data, _Origin(str(path), text, {}).error)
    overrides: dict[str, str] = {}
    for key, value, label in [*_from_environment(environment or {}), *map(_split_setting, settings)]:
        _assign(data, key, value, label)
        overrides[key] = label
    origin = _Origin(str(path) if path is not None else "", text, overrides)
    config: Config = _build(Config, data, "", origin)
    check_combinations(config, origin.error)
    return _resolve_program(config, path, overrides)


def to_json(config: Config) -> dict[str, Json]:
    """The whole effective configuration as a JSON object; :func:`from_json` gives it back."""
    data = asdict(config)
    data["benchmarks"] = list(data["benchmarks"])
    return data


def from_json(data: Mapping[str, Json]) -> Config:
    """The configuration that :func:`to_json` wrote.

    Raises:
        ConfigError: It holds a key or value that this version does not know.
    """
    origin = _Origin("stored configuration", "", {})
    config: Config = _build(Config, data, "", origin)
    check_combinations(config, origin.error)
    return config


def change_resumable(config: Config, settings: Sequence[str]) -> Config:
    """A stored configuration with settings that a resumed campaign may change: its budget and number of workers.

    Raises:
        ConfigError: A bad setting, or one that would make old and new results incomparable.
    """
    data = to_json(config)
    overrides: dict[str, str] = {}
    for key, value, label in map(_split_setting, settings):
        if not key.startswith("budget.") and key != "search.workers":
            raise ConfigError(
                f"{label}: cannot change while a campaign goes on",
                hint="budget.* and search.workers can; or start anew",
            )
        _assign(data, key, value, label)
        overrides[key] = label
    origin = _Origin("stored configuration", "", overrides)
    changed: Config = _build(Config, data, "", origin)
    check_combinations(changed, origin.error)
    return changed


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such configuration file", hint="write one with `hyperagent init`, or check the path"
        ) from None
    except IsADirectoryError:
        raise ConfigError(
            f"{path}: is a directory, not a configuration file", hint=f"name the file, e.g. {path / 'hyperagent.toml'}"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})", hint="save the file as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint="check the file's permissions") from error


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{path}: is not valid TOML: {error}", hint="strings need quotes; `hyperagent init` writes a valid example"
        ) from error


# -- environment and settings --------------------------------------------------------------------


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """``HYPERAGENT_LIMITS__CPUS=2`` -> ``("limits.cpus", "2", "environment HYPERAGENT_LIMITS__CPUS")``."""
    found = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and "__" in name.removeprefix(PREFIX):
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            found.append((key, environment[name], f"environment {name}"))
    return found


def _split_setting(setting: str) -> tuple[str, str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {setting}: is not of the form section.key=value", hint="e.g. --set budget.variants=4")
    return key.strip(), value.strip(), f"--set {key.strip()}"


def _assign(data: dict[str, Any], key: str, text: str, label: str) -> None:
    """Put the text into the nested data where the schema has a plain value, converted to that value's type."""
    parts = key.split(".")
    node: Any = data
    schema: Any = Config
    for depth, part in enumerate(parts):
        here = ".".join(parts[: depth + 1])
        hints = get_type_hints(schema)
        if part not in hints:
            raise _unknown(here, schema, label)
        kind, last = hints[part], depth == len(parts) - 1
        if not last and is_dataclass(kind):
            node, schema = _table(node.setdefault(part, {}), here, label), kind
        elif kind in _EXPECTED and last:
            node[part] = _convert(text, kind, here, label)
        elif get_args(kind) and len(parts) == depth + 3:
            node, schema = _element(node, part, parts[depth + 1], here, label), get_args(kind)[0]
            parts = [*parts[: depth + 1], parts[depth + 2]]
            _assign_leaf(node, schema, parts[-1], key, text, label)
            return
        else:
            raise ConfigError(f"{label}: {here} is not a single value", hint=_example(kind, here))


def _assign_leaf(node: dict[str, Any], schema: Any, name: str, key: str, text: str, label: str) -> None:
    kind = get_type_hints(schema).get(name)
    if kind is None:
        raise _unknown(key, schema, label)
    node[name] = _convert(text, kind, key, label)


def _table(value: Any, key: str, label: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{label}: {key} is not a table in the configuration file", hint=f"write [{key}] there")
    return value


def _element(node: dict[str, Any], name: str, index: str, key: str, label: str) -> dict[str, Any]:
    """The table at ``index`` of a list of tables; one past the end appends a new one of defaults."""
    items = node.setdefault(name, [{}])
    if not isinstance(items, list):
        raise ConfigError(f"{label}: {key} is not a list of tables", hint=f"write [[{key}]] in the file")
    if not (index.isascii() and index.isdigit()) or int(index) > len(items):
        raise ConfigError(
            f"{label}: {key}.{index} does not exist", hint=f"{key} are counted from 0; there are {len(items)}"
        )
    if int(index) == len(items):
        items.append({})
    return _table(items[int(index)], f"{key}.{index}", label)


def _convert(text: str, kind: type, key: str, label: str) -> Any:
    """Text of a setting -> value; a bare word is a string, quotes are optional."""
    if kind is str:
        quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
        return text[1:-1] if quoted else text
    try:
        return int(text) if kind is int else float(text) if kind is float else {"true": True, "false": False}[text]
    except (ValueError, KeyError):
        raise ConfigError(f"{label}: {key} must be {_EXPECTED[kind]}, not {_quote(text)}") from None


def _example(kind: Any, key: str) -> str:
    if is_dataclass(kind) and isinstance(kind, type):
        return f"set one of its keys, e.g. {key}.{fields(kind)[0].name}=..."
    return f"set one key of one of them, e.g. {key}.0.screen=5" if get_args(kind) else f"use {key} without a suffix"


# -- checking against the schema -----------------------------------------------------------------


def _build(schema: Any, data: Any, prefix: str, origin: _Origin) -> Any:
    if not isinstance(data, Mapping):
        raise origin.error(prefix, f"must be a table, not {_quote(data)}", f"write [{prefix}]")
    hints = get_type_hints(schema)
    for name in data:
        if name not in hints:
            raise _unknown(f"{prefix}{name}", schema, origin.of(f"{prefix}{name}"))
    values = {}
    for member in fields(schema):
        if member.name in data:
            values[member.name] = _value(member, hints[member.name], data[member.name], prefix, origin)
    return schema(**values)


def _value(member: Field[Any], kind: Any, value: Any, prefix: str, origin: _Origin) -> Any:
    key = f"{prefix}{member.name}"
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise origin.error(key, f"must be a table, not {_quote(value)}", f"write [{key}] and its keys below it")
        return _build(kind, value, f"{key}.", origin)
    if get_args(kind):
        if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
            raise origin.error(key, f"must be a list of tables, not {_quote(value)}", f"write [[{key}]] and its keys")
        return tuple(_build(get_args(kind)[0], item, f"{key}.{n}.", origin) for n, item in enumerate(value))
    return _plain(member, kind, value, key, origin)


def _plain(member: Field[Any], kind: type, value: Any, key: str, origin: _Origin) -> Any:
    good = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
    if not good:
        raise origin.error(key, f"must be {_EXPECTED[kind]}, not {_quote(value)}", _documentation(member))
    if kind is float:
        if not math.isfinite(value):
            raise origin.error(key, f"must be a finite number, not {value}", _documentation(member))
        value = float(value)
    if kind is int and abs(value) > LARGEST:
        raise origin.error(key, f"is too large: at most {LARGEST}")
    limits = member.metadata
    low, high, choices = limits.get("minimum"), limits.get("maximum"), limits.get("choices")
    if (low is not None and value < low) or (high is not None and value > high):
        wanted = f"at least {low}" if high is None else f"between {low} and {high}"
        raise origin.error(key, f"must be {wanted}, not {value}", _documentation(member))
    if choices and value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise origin.error(key, f"must be one of {', '.join(choices)}, not {_quote(value)}", hint)
    if kind is str and any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise origin.error(key, "must be one line of text without control characters")
    return value


def _documentation(member: Field[Any]) -> str:
    return str(member.metadata.get("doc", ""))


def _unknown(key: str, schema: Any, where: str) -> ConfigError:
    prefix, _, name = key.rpartition(".")
    here = [member.name for member in fields(schema)]
    near = difflib.get_close_matches(name, here, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {f'{prefix}.{near[0]}' if prefix else near[0]}?"
    else:
        every = all_keys()
        elsewhere = [known for known in every if known.rpartition(".")[2] == name]
        hint = f"did you mean {elsewhere[0]}?" if elsewhere else f"known keys here: {', '.join(here)}"
    return ConfigError(f"{where}: unknown key {key}" if where else f"unknown key {key}", hint=hint)


def all_keys() -> list[str]:
    """Every key that holds a plain value, in file order; list elements as ``benchmarks.0.name``."""
    keys: list[str] = []

    def walk(schema: Any, prefix: str) -> None:
        hints = get_type_hints(schema)
        for member in fields(schema):
            kind = hints[member.name]
            if is_dataclass(kind):
                walk(kind, f"{prefix}{member.name}.")
            elif get_args(kind):
                walk(get_args(kind)[0], f"{prefix}{member.name}.0.")
            else:
                keys.append(f"{prefix}{member.name}")

    walk(Config, "")
    return keys


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _resolve_program(config: Config, path: Path | None, overrides: Mapping[str, str]) -> Config:
    """A relative program directory belongs to the file that names it; from a setting, to the working directory."""
    if config.program == "seed":
        return config
    base = path.parent if path is not None and "program" not in overrides else Path()
    directory = (base / config.program).expanduser().absolute()
    if not directory.is_dir():
        where = overrides.get("program", str(path or "configuration"))
        raise ConfigError(f"{where}: program is not a directory: {directory}", hint='"seed" is the shipped program')
    values = {member.name: getattr(config, member.name) for member in fields(config)}
    return Config(**{**values, "program": str(directory)})
