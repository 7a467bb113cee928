"""The one place that knows every concrete class: config in, wired parts out.

``wiring`` builds campaigns and replays, ``reports`` reads scores back, ``checks`` looks at the machine. Heavy imports
(Docker, SQLAlchemy) happen inside the functions that need them, so that ``hyperagent --help`` answers at once.
"""

from hyperagent.assembly.checks import Check, doctor, sandbox_checks
from hyperagent.assembly.planning import plan
from hyperagent.assembly.reports import (
    best,
    evaluate_test,
    interval,
    metrics,
    paired,
    scores,
)
from hyperagent.assembly.supplies import (
    ModelRow,
    PackRow,
    benchmarks,
    build_image,
    describe_benchmark,
    fetch_benchmark,
    models,
    pull_model,
    test_model,
)
from hyperagent.assembly.wiring import (
    lock_holder,
    new_campaign,
    open_archive,
    replayer,
    resume_campaign,
)

__all__ = [
    "Check",
    "ModelRow",
    "PackRow",
    "benchmarks",
    "best",
    "build_image",
    "describe_benchmark",
    "doctor",
    "evaluate_test",
    "fetch_benchmark",
    "interval",
    "lock_holder",
    "metrics",
    "models",
    "new_campaign",
    "open_archive",
    "paired",
    "plan",
    "pull_model",
    "replayer",
    "resume_campaign",
    "sandbox_checks",
    "scores",
    "test_model",
]
