"""Turn what a command prints on a terminal into an SVG: scripts/picture.py OUT.svg TITLE COMMAND [ARGUMENT ...]"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 110


def main() -> int:
    target, title, *command = sys.argv[1:]
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(done.stdout.rstrip()), no_wrap=True, crop=True)
    svg = console.export_svg(title=title)
    # The picture must not fetch anything: without the web font, the reader's own monospace font is used.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    Path(target).write_text(svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
