"""Every attack, with what stops it."""

from __future__ import annotations

from hyperagent.sandbox.attacks.attack import Attack
from hyperagent.sandbox.attacks.harming import EXHAUSTING, LEAVING, MODEL, OUTLIVING
from hyperagent.sandbox.attacks.reaching import CALLS, CHANGING, LOOKING, NETWORK

ATTACKS: tuple[Attack, ...] = (
    *LOOKING,
    *CHANGING,
    *CALLS,
    *NETWORK,
    *EXHAUSTING,
    *OUTLIVING,
    *LEAVING,
    *MODEL,
)
