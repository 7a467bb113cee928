"""Starts the runtime: ``python3 -s -P -B runner.py``, frames on stdin and stdout.

Run by path, outside of any package, so it first makes this folder importable without touching ``sys.path``:
a program must not be able to import the runtime by accident.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

PACKAGE = "_sandbox_runtime"


def _load_package() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        PACKAGE, os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    if spec is None:
        sys.exit("the runtime folder cannot be loaded")
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)


if __name__ == "__main__":
    _load_package()
    importlib.import_module(PACKAGE + ".serve").main()
