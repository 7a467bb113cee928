"""hyperagent: an engine that evolves agents which rewrite themselves.

For Python: ``hyperagent.open_archive(path)``, see docs/python.md. What type checkers see stands in ``__init__.pyi``.
"""

import importlib

__version__ = "0.1.0"
__all__ = [
    "Archive",
    "Call",
    "Campaign",
    "HyperagentError",
    "Interval",
    "OutcomeRow",
    "Records",
    "Variant",
    "__version__",
    "open_archive",
]


def __getattr__(name: str) -> object:
    """Names load when they are used (PEP 562): ``hyperagent --help`` waits for no database, git or numpy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{'errors' if name == 'HyperagentError' else 'api'}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
