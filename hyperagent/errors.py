"""The error tree: every failure a person can cause or meet, each with its exit code.

::

    HyperagentError                 1   a bug, or an error without a better class
    ├── UsageError                  2   wrong words on the command line
    │   ├── ConfigError             2   a config file or --set that cannot be used
    │   └── NotFoundError           2   no such campaign, variant, benchmark or model
    ├── PrerequisiteError           3   something this machine lacks
    │   ├── SandboxUnavailable      3   no Docker engine, no image
    │   ├── ModelUnavailable        3   weights missing, provider refuses or cannot be reached
    │   ├── DataUnavailable         3   benchmark data not fetched
    │   └── ArchiveLocked           3   another process writes to this archive
    ├── BudgetReached               4   a cap of the campaign (resumable)
    │   └── AllowanceSpent          4   a cap of one variant or task: its own failure, the campaign goes on
    ├── EvaluationsLost             5   infrastructure failed, some tasks have no outcome
    │   ├── SandboxLost             5   the sandbox's daemon or machine failed under a job
    │   └── ModelLost               5   the model's server failed under a call, after all retries
    ├── ModelRequestInvalid         1   a program's request that the model refuses: the program's own fault
    ├── ReplayDiverged              1   a replayed program made a call that was not recorded
    ├── GateRefused                 6   a promotion was not allowed
    └── ArchiveDamaged              7   rows, git objects or blobs do not agree

130 and 143 are left to SIGINT and SIGTERM. Every message says what happened, where, and (``hint``) what to do.
"""

from __future__ import annotations


class HyperagentError(Exception):
    """Base of all errors this package raises on purpose.

    Args:
        message: What happened and where, one sentence, without a trailing hint.
        hint: What the reader can do about it; shown on a line of its own.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HyperagentError):
    exit_code = 2


class ConfigError(UsageError):
    """A config file, environment variable or ``--set`` that cannot be used."""


class NotFoundError(UsageError):
    """A name or id that matches nothing, or more than one thing."""


class PrerequisiteError(HyperagentError):
    exit_code = 3


class SandboxUnavailable(PrerequisiteError):
    pass


class ModelUnavailable(PrerequisiteError):
    """No weights, no server, a refused key: calling again without a change will not help."""


class DataUnavailable(PrerequisiteError):
    pass


class ArchiveLocked(PrerequisiteError):
    pass


class BudgetReached(HyperagentError):
    """A cap would be exceeded by the next reservation.

    Args:
        cap: Name of the cap, as in the config (``"tokens"``).
    """

    exit_code = 4

    def __init__(self, message: str, *, cap: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.cap = cap


class AllowanceSpent(BudgetReached):
    """A variant or a task has used up what it was given. The program's own failure: the campaign goes on."""


class EvaluationsLost(HyperagentError):
    exit_code = 5


class SandboxLost(EvaluationsLost):
    """Our infrastructure failed under a running job; the program is not to blame."""


class ModelLost(EvaluationsLost):
    """A model call failed after all retries through no fault of the program."""

    retry_after: float | None = None


class ModelRequestInvalid(HyperagentError):
    """The program sent a request that the model refuses (HTTP 400); the program's own fault."""


class GateRefused(HyperagentError):
    exit_code = 6


class ArchiveDamaged(HyperagentError):
    exit_code = 7


class ReplayDiverged(HyperagentError):
    """A replayed program made a call that was not recorded; the message names the first one."""
