"""How large the report page of a campaign is, how long it takes to write, and how fast it answers clicks.

    scripts/bench_page.py ARCHIVE [CAMPAIGN]

A click is timed in the page, from the moment of the mouse until the frame after it is drawn; beside it stands the
processor time of the page's main thread, which does not depend on what else the machine does.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from chromium import Page, chromium_path  # noqa: E402 - the line above says where it is

from hyperagent import assembly  # noqa: E402
from hyperagent.report.page import render  # noqa: E402

CLICKS = 40
WATCH = """
window.took = [];
addEventListener("click", (event) => requestAnimationFrame(() => setTimeout(() =>
  window.took.push(performance.now() - event.timeStamp))), true);
"""


def main(words: list[str]) -> int:
    started, cpu = time.monotonic(), time.process_time()
    archive = assembly.open_archive(Path(words[0]))
    try:
        campaign = archive.campaign(words[1]) if len(words) > 1 else archive.campaigns()[-1]
        data = assembly.page_data(archive, campaign)
    finally:
        archive.close()
    text = render(data, title=campaign.name)
    print(f"{len(data['variants']['id']):,} variants, {len(text) / 1e6:.2f} MB", end=", ")
    print(f"written in {time.monotonic() - started:.1f} s ({time.process_time() - cpu:.1f} s of processor)")
    with tempfile.TemporaryDirectory() as scratch, Page(chromium_path()) as page:
        file = Path(scratch) / "report.html"
        file.write_text(text, encoding="utf-8")
        started = time.monotonic()
        page.open(file.as_uri())
        page.run("new Promise((done) => requestAnimationFrame(done))")
        print(f"opened in {time.monotonic() - started:.1f} s")
        page.run(WATCH)
        _clicks(page, "folded as it opens")
        page.run("window.took.length = 0")
        page.click("button[aria-label='show every variant']")
        page.wait("window.took.length === 1")
        print(f"  unfolding all: {page.run('window.took.pop()'):.0f} ms")
        _clicks(page, "all unfolded")
    return 0


def _clicks(page: Page, what: str) -> None:
    page.run("window.took.length = 0")
    before = page.processor()
    count = page.run("document.querySelectorAll('circle.node').length")
    for number in range(CLICKS):
        # Some nodes lie under others when thousands stand on one screen: a click hits what is on top, a variant too.
        index = page.run(f"document.querySelectorAll('circle.node')[{number * count // CLICKS}].dataset.i")
        page.click(f"circle.node[data-i='{index}']")
        page.wait(f"window.took.length === {number + 1}")
    took = sorted(page.run("window.took"))
    print(f"  {count:,} variants drawn ({what}), {CLICKS} clicks: best {took[0]:.0f} ms, ", end="")
    each = 1000 * (page.processor() - before) / CLICKS
    print(f"median {took[len(took) // 2]:.0f} ms, ", end="")
    print(f"95% {took[int(len(took) * 0.95)]:.0f} ms, worst {took[-1]:.0f} ms; {each:.0f} ms of processor each")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
