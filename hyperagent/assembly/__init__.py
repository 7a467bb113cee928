"""The one place that knows every concrete class: config in, wired parts out.

``wiring`` builds campaigns and replays, ``benching`` runs and ``scoring`` scores benchmarks without one, ``packs`` is
about packs themselves, ``reports`` reads scores back, ``costs`` adds up and hands out recorded model calls, ``checks``
looks at the machine, ``distilling`` trains and judges adapters of local models, ``sharing``
writes and reads files for others. Heavy imports (Docker, SQLAlchemy)
happen inside the functions that need them, so that ``hyperagent --help`` answers at once; and a part is imported when
one of its names is first asked for (PEP 562), so that a verb that only reads does not wait for what runs campaigns.
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
    from hyperagent.assembly.editing import EditingTest, FormatRow, test_editing
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
    from hyperagent.assembly.pages import index_data, index_mark, page_data
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
    from hyperagent.assembly.serving import ServerBench, ServeWishes, bench_model, serve_model
    from hyperagent.assembly.sharing import export_bundle, export_outcomes, import_bundle
    from hyperagent.assembly.skills import campaign_skills, find_skill, graft, skill_rows, skill_source
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
    from hyperagent.evaluation.regressions import Regression
    from hyperagent.evaluation.validate import Check as PackCheck

_PARTS = {
    "benching": "BenchmarkRun BenchmarkRunner",
    "checks": "Check doctor sandbox_checks",
    "comparing": "Comparison ModeComparison",
    "costs": "CostRow Costs call_record campaign_costs export_calls recorded_calls",
    "editing": "EditingTest FormatRow test_editing",
    "ensembles": "Ensemble EnsembleScore ensemble",
    "improvement": "Improvement ImprovementRunner",
    "looking": "compare_variants conversation conversations export_program turns variant_details",
    "packs": "PackFacts benchmark_facts benchmark_schema import_papers import_polyglot imported_file init_benchmark "
    "validate_benchmark",
    "pages": "index_data index_mark page_data",
    "planning": "plan",
    "reenacting": "replay_campaign",
    "repeats": "compare_campaigns",
    "reports": "best campaign_regressions evaluate_test interval intervals paired scorecards scores",
    "scoring": "Scored score_predictions",
    "serving": "ServeWishes ServerBench bench_model serve_model",
    "sharing": "export_bundle export_outcomes import_bundle",
    "skills": "campaign_skills find_skill graft skill_rows skill_source",
    "supplies": "ModelRow PackRow benchmarks build_image describe_benchmark fetch_benchmark models pull_model "
    "test_model",
    "watching": "CampaignWatch",
    "wiring": "lock_holder new_campaign open_archive replayer resume_campaign",
}
"""Module -> the names above that it holds."""
_HOMES = {name: f"{__name__}.{part}" for part, names in _PARTS.items() for name in names.split()}
_HOMES["Regression"] = "hyperagent.evaluation.regressions"
_HOMES["PackCheck"] = "hyperagent.evaluation.validate"
_RENAMED = {"PackCheck": "Check"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), _RENAMED.get(name, name))


__all__ = [
    "BenchmarkRun",
    "BenchmarkRunner",
    "CampaignWatch",
    "Check",
    "Comparison",
    "CostRow",
    "Costs",
    "EditingTest",
    "Ensemble",
    "EnsembleScore",
    "FormatRow",
    "Improvement",
    "ImprovementRunner",
    "ModeComparison",
    "ModelRow",
    "PackCheck",
    "PackFacts",
    "PackRow",
    "Regression",
    "Scored",
    "ServeWishes",
    "ServerBench",
    "bench_model",
    "benchmark_facts",
    "benchmark_schema",
    "benchmarks",
    "best",
    "build_image",
    "call_record",
    "campaign_costs",
    "campaign_regressions",
    "campaign_skills",
    "compare_campaigns",
    "compare_variants",
    "conversation",
    "conversations",
    "describe_benchmark",
    "doctor",
    "ensemble",
    "evaluate_test",
    "export_bundle",
    "export_calls",
    "export_outcomes",
    "export_program",
    "fetch_benchmark",
    "find_skill",
    "graft",
    "import_bundle",
    "import_papers",
    "import_polyglot",
    "imported_file",
    "index_data",
    "index_mark",
    "init_benchmark",
    "interval",
    "intervals",
    "lock_holder",
    "models",
    "new_campaign",
    "open_archive",
    "page_data",
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
    "serve_model",
    "skill_rows",
    "skill_source",
    "test_editing",
    "test_model",
    "turns",
    "validate_benchmark",
    "variant_details",
]
