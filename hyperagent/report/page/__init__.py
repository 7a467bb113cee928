"""The page about a campaign: one HTML file without a single request, or the same served live.

What programs wrote is data to it: JSON in a block that no browser runs, put on the screen as text only. The policy in
the page's head allows this one style and this one script, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hyperagent.report.page.serve import Pages, PageServer
from hyperagent.types import Json

__all__ = ["PageServer", "Pages", "policy", "render"]

SCRIPTS = ("core.js", "tree.js", "charts.js", "heat.js", "details.js", "main.js")
_HERE = Path(__file__).parent


def render(data: Mapping[str, Json], *, title: str, live: Mapping[str, str] | None = None) -> str:
    """The page as one HTML text.

    Args:
        data: What ``hyperagent.assembly.page_data`` or ``index_data`` gives.
        live: Where a served page gets more: the paths ``data``, ``stream`` and ``index``; None = a file that
            stands alone.
    """
    members = {**data, "live": live} if live else data
    # "<" cannot end the block early, and everything beyond ASCII, bidi marks too, stays an escape in the file.
    text = json.dumps(members, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "policy": html.escape(policy(served=live is not None)),
        "title": html.escape(title),
        "style": _style(),
        "data": text,
        "script": _script(),
    }
    page = _read("page.html")
    for name, part in parts.items():  # in the template's order, and in it alone: no part is searched for other names
        before, _, page = page.partition(f"{{{name}}}")
        parts[name] = before + part
    return "".join(parts.values()) + page


def policy(*, served: bool) -> str:
    """The content security policy: nothing but this style and this script; a served page may ask its own server."""
    connect = "; connect-src 'self'" if served else ""
    return (
        f"default-src 'none'; style-src {_hash(_style())}; script-src {_hash(_script())}; img-src data:{connect}; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _style() -> str:
    return _read("page.css")


@cache
def _script() -> str:
    return "(() => {\n" + "\n".join(map(_read, SCRIPTS)) + "})();\n"


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
