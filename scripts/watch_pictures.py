"""Pictures of `hyperagent watch`: scripts/watch_pictures.py [--size 100x30] [--until N] ARCHIVE CAMPAIGN OUT.svg [KEY]

With --until it looks, once a second, until so many variants are evaluated; then it presses the keys and takes the
picture. An SVG is drawn as PNG beside it where a Chromium is found.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hyperagent.archive import open_archive
from hyperagent.assembly import CampaignWatch
from hyperagent.cli.screen import WatchApp

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


async def picture(watch: CampaignWatch, size: tuple[int, int], until: int, keys: list[str]) -> str:
    """The screen as SVG."""
    app = WatchApp(watch, every=0)
    async with app.run_test(size=size) as pilot:
        while app.snapshot.progress.done < until and app.snapshot.session == "running":
            await asyncio.sleep(1.0)
            app.look()
            await app.workers.wait_for_complete()
        await pilot.press("b", *keys)
        await app.workers.wait_for_complete()
        await pilot.pause()
        svg = app.export_screenshot(title=f"hyperagent watch {app.snapshot.progress.campaign.name}")
    # The picture must not fetch anything: without the web font, the reader's own monospace font is used.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("campaign")
    parser.add_argument("target", type=Path)
    parser.add_argument("--size", default="100x30")
    parser.add_argument("--until", type=int, default=0)
    parser.add_argument("keys", nargs="*")
    given = parser.parse_args()
    columns, _, rows = given.size.partition("x")
    archive = open_archive(given.archive)
    watch = CampaignWatch(archive, archive.campaign(given.campaign).id)
    svg = asyncio.run(picture(watch, (int(columns), int(rows)), given.until, given.keys))
    archive.close()
    given.target.write_text(svg, encoding="utf-8")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if browser and box:
        window = ",".join(str(int(float(side)) + 1) for side in box.groups())
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={window}"]
        image = given.target.with_suffix(".png").absolute()
        command = [browser, *options, f"--screenshot={image}", given.target.absolute().as_uri()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
