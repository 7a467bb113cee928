"""The one place that knows every concrete class: config in, wired parts out.

``wiring`` builds campaigns and replays, ``benching`` runs and ``scoring`` scores benchmarks without one, ``packs`` is
about packs themselves, ``reports`` reads scores back, ``costs`` adds up and hands out recorded model calls, ``checks``
looks at the machine. Heavy imports (Docker, SQLAlchemy) happen inside the functions that need them, so that
``hyperagent --help`` answers at once.
"""

from hyperagent.assembly.benching import BenchmarkRun, BenchmarkRunner
from hyperagent.assembly.checks import Check, doctor, sandbox_checks
from hyperagent.assembly.comparing import Comparison, ModeComparison
from hyperagent.assembly.costs import (
    CostRow,
    Costs,
    call_record,
    campaign_costs,
    export_calls,
    recorded_calls,
)
from hyperagent.assembly.improvement import Improvement, ImprovementRunner
from hyperagent.assembly.packs import (
    PackFacts,
    benchmark_facts,
    benchmark_schema,
    import_papers,
    import_polyglot,
    imported_file,
    init_benchmark,
    validate_benchmark,
)
from hyperagent.assembly.planning import plan
from hyperagent.assembly.reports import (
    best,
    evaluate_test,
    interval,
    paired,
    scorecards,
    scores,
)
from hyperagent.assembly.scoring import Scored, score_predictions
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
from hyperagent.assembly.watching import CampaignWatch
from hyperagent.assembly.wiring import (
    lock_holder,
    new_campaign,
    open_archive,
    replayer,
    resume_campaign,
)

__all__ = [
    "BenchmarkRun",
    "BenchmarkRunner",
    "CampaignWatch",
    "Check",
    "Comparison",
    "CostRow",
    "Costs",
    "Improvement",
    "ImprovementRunner",
    "ModeComparison",
    "ModelRow",
    "PackFacts",
    "PackRow",
    "Scored",
    "benchmark_facts",
    "benchmark_schema",
    "benchmarks",
    "best",
    "build_image",
    "call_record",
    "campaign_costs",
    "describe_benchmark",
    "doctor",
    "evaluate_test",
    "export_calls",
    "fetch_benchmark",
    "import_papers",
    "import_polyglot",
    "imported_file",
    "init_benchmark",
    "interval",
    "lock_holder",
    "models",
    "new_campaign",
    "open_archive",
    "paired",
    "plan",
    "pull_model",
    "recorded_calls",
    "replayer",
    "resume_campaign",
    "sandbox_checks",
    "score_predictions",
    "scorecards",
    "scores",
    "test_model",
    "validate_benchmark",
]
