"""Campaign configuration: the schema, and its way in and out of files."""

from hyperagent.config.load import all_keys, change_resumable, from_json, load_config, to_json
from hyperagent.config.schema import (
    EDITING,
    SELECTIONS,
    AllowanceConfig,
    BenchmarkConfig,
    BudgetConfig,
    Config,
    LimitsConfig,
    ModelsConfig,
    OriginConfig,
    SandboxConfig,
    SearchConfig,
)
from hyperagent.config.template import render_template

__all__ = [
    "EDITING",
    "SELECTIONS",
    "AllowanceConfig",
    "BenchmarkConfig",
    "BudgetConfig",
    "Config",
    "LimitsConfig",
    "ModelsConfig",
    "OriginConfig",
    "SandboxConfig",
    "SearchConfig",
    "all_keys",
    "change_resumable",
    "from_json",
    "load_config",
    "render_template",
    "to_json",
]
