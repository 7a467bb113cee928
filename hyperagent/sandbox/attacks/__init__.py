"""Attacks on a sandbox, each harmless to a machine that lets it through, and the judge of what came of them.

``inside/`` is the attacking program, as it runs in the sandbox; ``scene`` is what it could get hold of on the host;
``catalogue`` lists the attacks, ``drill`` runs them.
"""

from __future__ import annotations

from hyperagent.sandbox.attacks.attack import Attack, Finding
from hyperagent.sandbox.attacks.catalogue import ATTACKS
from hyperagent.sandbox.attacks.drill import Drill, applicable, run_suite
from hyperagent.sandbox.attacks.scene import Scene

__all__ = ["ATTACKS", "Attack", "Drill", "Finding", "Scene", "applicable", "run_suite"]
