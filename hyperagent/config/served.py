"""``[models.mutation] serve = true``: a model as a table, which becomes ``models.mutation`` and ``models.serve``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hyperagent.errors import ConfigError

PURPOSES = ("mutation", "evaluation")
_KINDS = {"model": str, "serve": bool}


def fold_served(data: dict[str, Any], refuse: Callable[[str, str, str], ConfigError]) -> None:
    """Replace tables at ``models.mutation`` and ``models.evaluation`` of a parsed file by plain values, in place.

    Raises:
        ConfigError: Made by ``refuse(key, problem, hint)``: an unknown key, a value of the wrong type, or
            ``models.serve`` beside it.
    """
    models = data.get("models")
    if not isinstance(models, dict):
        return
    served = []
    for purpose in PURPOSES:
        table = models.get(purpose)
        if not isinstance(table, dict):
            continue
        key = f"models.{purpose}"
        for name, value in table.items():
            if name not in _KINDS:
                raise refuse(f"{key}.{name}", "is not known", "known keys here: model, serve")
            if not isinstance(value, _KINDS[name]):
                wanted = "a model string" if name == "model" else "true or false"
                raise refuse(f"{key}.{name}", f"must be {wanted}, not {value!r}"[:100], "")
        models[purpose] = table.get("model", "")
        if table.get("serve"):
            served.append(purpose)
    if not served:
        return
    if models.get("serve"):
        raise refuse("models.serve", f"and models.{served[0]}.serve say the same thing", "keep one of them")
    models["serve"] = "both" if len(served) == len(PURPOSES) else served[0]
