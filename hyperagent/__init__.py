"""hyperagent: an engine that evolves agents which rewrite themselves."""

__version__ = "0.1.0"
