"""The one place that knows every concrete class: config in, wired parts out.

``wiring`` builds campaigns and replays, ``benching`` runs and ``scoring`` scores benchmarks without one, ``packs`` is
about packs themselves, ``reports`` reads scores back, ``costs`` adds up and hands out recorded model calls, ``checks``
looks at the machine. Heavy imports (Docker, SQLAlchemy) happen inside the functions that need them, so that
``hyperagent --help`` answers at once; and a part is imported when one of its names is first asked for (PEP 562), so
that a verb that only reads does not wait for what runs campaigns.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from hyperagent.assembly.ensembles import Ensemble, EnsembleScore, ensemble
    from hyperagent.assembly.improvement import Improvement, ImprovementRunner
    from hyperagent.assembly.looking import (
        compare_variants,
        conversation,
        conversations,
        export_program,
        turns,
        variant_details,
    )
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
    from hyperagent.assembly.reenacting import replay_campaign
    from hyperagent.assembly.repeats import compare_campaigns
    from hyperagent.assembly.reports import (
        best,
        campaign_regressions,
        evaluate_test,
        interval,
        intervals,
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
    from hyperagent.assembly.wiring import (
        lock_holder,
        new_campaign,
        open_archive,
        replayer,
        resume_campaign,
    )
    from hyperagent.evaluation.regressions import Regression

_PARTS = {
    "benching": "BenchmarkRun BenchmarkRunner",
    "checks": "Check doctor sandbox_checks",
    "comparing": "Comparison ModeComparison",
    "costs": "CostRow Costs call_record campaign_costs export_calls recorded_calls",
    "ensembles": "Ensemble EnsembleScore ensemble",
    "improvement": "Improvement ImprovementRunner",
    "looking": "compare_variants conversation conversations export_program turns variant_details",
    "packs": "PackFacts benchmark_facts benchmark_schema import_papers import_polyglot imported_file init_benchmark "
    "validate_benchmark",
    "planning": "plan",
    "reenacting": "replay_campaign",
    "repeats": "compare_campaigns",
    "reports": "best campaign_regressions evaluate_test interval intervals paired scorecards scores",
    "scoring": "Scored score_predictions",
    "supplies": "ModelRow PackRow benchmarks build_image describe_benchmark fetch_benchmark models pull_model "
    "test_model",
    "wiring": "lock_holder new_campaign open_archive replayer resume_campaign",
}
"""Module -> the names above that it holds."""
_HOMES = {name: f"{__name__}.{part}" for part, names in _PARTS.items() for name in names.split()}
_HOMES["Regression"] = "hyperagent.evaluation.regressions"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


__all__ = [
    "BenchmarkRun",
    "BenchmarkRunner",
    "Check",
    "Comparison",
    "CostRow",
    "Costs",
    "Ensemble",
    "EnsembleScore",
    "Improvement",
    "ImprovementRunner",
    "ModeComparison",
    "ModelRow",
    "PackFacts",
    "PackRow",
    "Regression",
    "Scored",
    "benchmark_facts",
    "benchmark_schema",
    "benchmarks",
    "best",
    "build_image",
    "call_record",
    "campaign_costs",
    "campaign_regressions",
    "compare_campaigns",
    "compare_variants",
    "conversation",
    "conversations",
    "describe_benchmark",
    "doctor",
    "ensemble",
    "evaluate_test",
    "export_calls",
    "export_program",
    "fetch_benchmark",
    "import_papers",
    "import_polyglot",
    "imported_file",
    "init_benchmark",
    "interval",
    "intervals",
    "lock_holder",
    "models",
    "new_campaign",
    "open_archive",
    "paired",
    "plan",
    "pull_model",
    "recorded_calls",
    "replay_campaign",
    "replayer",
    "resume_campaign",
    "sandbox_checks",
    "score_predictions",
    "scorecards",
    "scores",
    "test_model",
    "turns",
    "validate_benchmark",
    "variant_details",
]
