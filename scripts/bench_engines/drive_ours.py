"""One campaign of ours with an instant model and an instant evaluator: drive_ours.py VARIANTS WORKERS BACKEND FOLDER.

The program and the pack are `planted`: a meta agent that asks once and changes one line, a task agent that answers at
once. Prints the moments (seconds since 1970) at which variants were finished, one a line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hyperagent import assembly
from hyperagent.config import load_config
from hyperagent.types import Progress

CONFIG = Path(__file__).parents[2] / "benchmarks" / "planted" / "planted.toml"


class Silent:
    """An observer that has no one to tell."""

    def progress(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None: ...


def main() -> None:
    variants, workers, backend, folder = sys.argv[1:]
    settings = (f"budget.variants={variants}", f"search.workers={workers}", f"sandbox.backend={backend}")
    config = load_config(CONFIG, environment={}, settings=[*settings, "models.model=planted/useless"])
    archive = assembly.open_archive(Path(folder, "archive"), write=True, create=True)
    try:
        session = assembly.new_campaign(config, archive, Silent(), CONFIG.parent)
        try:
            session.run()
        finally:
            session.close()
        for event in archive.events_of(session.campaign.id, "variant_finished"):
            if archive.variant(event.payload["variant"]).step:
                print(event.created)
    finally:
        archive.close()


if __name__ == "__main__":
    main()
