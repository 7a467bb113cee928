"""Imports a bundle again and again, each time into a fresh copy of an archive and each time killed one step later.

Arguments: folder for the copies, the archive to copy, the bundle, how many file operations further each time. A line of
JSON on stdout for each copy: its folder and whether the import was killed. The last one is not.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from pathlib import Path

from archive_writer import die_at_operation

from hyperagent.archive import open_archive


def main(folder: str, source: str, bundle: str, stride: int) -> None:
    for die_at in itertools.count(1, stride):
        home = shutil.copytree(source, Path(folder) / str(die_at))
        child = os.fork()
        if child == 0:
            with open_archive(home, write=True) as archive:
                die_at_operation(die_at, str(home))
                archive.import_bundle(Path(bundle))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"home": str(home), "killed": os.WIFSIGNALED(status), "status": status}), flush=True)
        if not os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
