"""The commented configuration file that ``hyperagent init`` writes, made from the schema itself."""

from __future__ import annotations

import json
import textwrap
from dataclasses import fields, is_dataclass
from typing import Any

from hyperagent.config.schema import Config

_HEAD = """\
# hyperagent: configuration of one campaign. Start it with `hyperagent run FILE`.
# Every key stands here with its default; a line that is deleted keeps its default.
# Overrides, strongest last: this file, HYPERAGENT_SECTION__KEY in the environment, --set section.key=value.
"""
_SECTIONS = {
    "budget": "How much to do. The campaign ends at the first cap that is reached; `hyperagent resume` goes on.",
    "budget.variant": "Caps on each variant: its mutation and all its tasks. Where one is reached, further calls fail.",
    "budget.task": "Caps on each run of a task. A task that reaches one has failed; nothing else ends.",
    "search": "How variants are chosen and made.",
    "origin": "Where generation 0 comes from, beside `program`.",
    "models": "Which models rewrite programs and solve tasks. Keys come from the provider's usual variables.",
    "benchmarks": "What variants are scored on; repeat the table for more benchmarks.",
    "limits": "Hard limits of every sandbox.",
    "sandbox": "Where programs run.",
}


def render_template() -> str:
    """TOML text with every key, its documentation and its default; loads to ``Config()``."""
    config = Config()
    top = [_entry(member, getattr(config, member.name)) for member in fields(config) if _is_plain(config, member.name)]
    parts = [_HEAD, *top]
    for member in fields(config):
        value = getattr(config, member.name)
        if is_dataclass(value):
            parts.append(_section(f"[{member.name}]", member.name, value))
        elif isinstance(value, tuple):
            parts.extend(_section(f"[[{member.name}]]", member.name, item) for item in value)
    return "\n".join(parts)


def _is_plain(config: Config, name: str) -> bool:
    value = getattr(config, name)
    return not is_dataclass(value) and not isinstance(value, tuple)


def _section(header: str, name: str, value: Any) -> str:
    rows, below = [], []
    for member in fields(value):
        held = getattr(value, member.name)
        if is_dataclass(held):  # tables of a table come after its own keys: that is how TOML reads them
            below.append(_section(f"[{name}.{member.name}]", f"{name}.{member.name}", held))
        else:
            rows.append(_entry(member, held))
    return "\n".join([f"\n# -- {_SECTIONS[name]}\n{header}\n", *rows, *below])


def _entry(member: Any, value: Any) -> str:
    lines = textwrap.wrap(member.metadata["doc"], width=100, break_long_words=False, break_on_hyphens=False)
    comment = "\n".join(f"# {line}" for line in lines)
    choices = member.metadata.get("choices")
    if choices:
        comment += f"\n# One of: {', '.join(choices)}."
    return f"{comment}\n{member.name} = {json.dumps(value)}\n"
