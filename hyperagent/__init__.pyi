from hyperagent.api import Archive as Archive
from hyperagent.api import Call as Call
from hyperagent.api import Campaign as Campaign
from hyperagent.api import Interval as Interval
from hyperagent.api import OutcomeRow as OutcomeRow
from hyperagent.api import Records as Records
from hyperagent.api import Variant as Variant
from hyperagent.api import open_archive as open_archive
from hyperagent.errors import HyperagentError as HyperagentError

__version__: str
__all__ = [
    "Archive",
    "Call",
    "Campaign",
    "HyperagentError",
    "Interval",
    "OutcomeRow",
    "Records",
    "Variant",
    "__version__",
    "open_archive",
]
