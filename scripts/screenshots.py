"""Pictures of the report page for the docs, from a campaign of an archive, taken in a headless Chromium.

    scripts/screenshots.py ARCHIVE CAMPAIGN [DIR]

Writes report-light.png, report-dark.png and report-phone.png into DIR (docs/images).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from chromium import Page, chromium_path  # noqa: E402 - the line above says where it is

from hyperagent import assembly  # noqa: E402
from hyperagent.report.page import render  # noqa: E402

SHOTS = (("light", "light", 1400, 1120, False), ("dark", "dark", 1400, 1120, False), ("phone", "light", 390, 844, True))
SETTLED = "new Promise((done) => setTimeout(done, 400))"  # a resize is answered after a short rest


def main(words: list[str]) -> int:
    if len(words) not in (2, 3) or not chromium_path():
        print(__doc__ if chromium_path() else "there is no Chromium here", file=sys.stderr)
        return 2
    folder = Path(words[2]) if len(words) == 3 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    archive = assembly.open_archive(Path(words[0]))
    try:
        campaign = archive.campaign(words[1])
        text = render(assembly.page_data(archive, campaign, hidden=True), title=campaign.name)
    finally:
        archive.close()
    with tempfile.TemporaryDirectory() as scratch, Page(chromium_path()) as page:
        file = Path(scratch) / "report.html"
        file.write_text(text, encoding="utf-8")
        page.open(file.as_uri())
        for name, theme, width, height, mobile in SHOTS:
            page.theme(theme)
            page.resize(width, height, mobile)
            page.run(SETTLED)
            page.screenshot(folder / f"report-{name}.png")
        if page.problems:
            print(*page.problems, sep="\n", file=sys.stderr)
    return bool(page.problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
