"""The page in a headless Chromium: it shows, answers clicks and keys, asks for nothing, and believes no program."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, chromium_path
from page_archive import OWNED, add_step, make_campaign

from hyperagent import assembly
from hyperagent.cli.context import Context
from hyperagent.cli.pages import _ArchivePages
from hyperagent.report.page import PageServer, render

pytestmark = pytest.mark.browser
SKILLS = [{"name": "reads <i>tables</i>", "about": "splits lines", "step": 4}]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    archive = assembly.open_archive(home, write=True, create=True)
    campaign = make_campaign(archive)
    data = assembly.page_data(archive, campaign, hidden=True, skills=SKILLS)
    archive.close()
    written = home / "tiny.html"
    written.write_text(render(data, title="tiny"), encoding="utf-8")
    return written


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with Page(chromium_path()) as page:
        yield page


@pytest.fixture
def page(chromium: Page, file: Path) -> Iterator[Page]:
    """The file, freshly opened; whatever the test did, the page must not have complained or asked for anything."""
    chromium.resize(1400, 1000)
    chromium.theme("light")
    chromium.open("about:blank")
    chromium.open(file.as_uri())
    yield chromium
    assert chromium.problems == []
    assert chromium.requests == [file.as_uri()]


def chosen(page: Page) -> str:
    return page.text("aside h2").split(" · ")[0]


def test_it_shows_everything(page: Page) -> None:
    heads = page.run("[...document.querySelectorAll('section h2')].map((one) => one.textContent)")
    assert [head.split(":")[0] for head in heads] == [
        "Lineage", "Score over steps", "Benchmarks and splits", "Tasks by variants", "Cost and tokens", "Mutations",
        "Integrity", "Skills", "Configuration and reproduction",
    ]  # fmt: skip
    assert page.run("document.querySelectorAll('circle.node').length") == 10
    assert chosen(page) == "Step 7"  # the best
    facts = page.text(".facts")
    assert "0.917" in facts
    assert "7 tasks won, 0 lost against the seed" in facts
    assert "[object" not in page.run("document.body.textContent")
    assert "NaN" not in page.run("document.body.innerHTML")


def test_a_click_chooses_a_variant(page: Page) -> None:
    page.click("circle.node[data-i='4']")
    assert chosen(page) == "Step 4"
    assert "answer = 4" in page.text("aside pre .plus")
    assert "idea 4" in page.text("aside .says")
    assert page.run("location.hash") == "#step=4"
    page.click("aside button.plain")  # its parent
    assert chosen(page) == "Step 2"


def test_keys_walk_the_tree(page: Page) -> None:
    page.run("document.querySelector('.tree svg').focus()")
    page.press("Home")
    assert chosen(page) == "Step 0"
    page.press("ArrowRight")
    assert chosen(page) == "Step 1"
    page.press("ArrowLeft")
    assert chosen(page) == "Step 0"
    page.press("ArrowDown")
    assert chosen(page) != "Step 0"
    page.press("End")
    assert chosen(page) == "Step 9"
    page.press("b")
    assert chosen(page) == "Step 7"


def test_folding(page: Page) -> None:
    page.run("document.querySelector('.tree svg').focus()")
    page.press("Home")
    page.press("Enter")
    assert page.run("document.querySelectorAll('circle.node').length") == 1
    assert page.text("svg .more") == "+1"
    page.click("svg .more")
    assert page.run("document.querySelectorAll('circle.node').length") > 1
    page.click("button[aria-label='show every variant']")
    assert page.run("document.querySelectorAll('circle.node').length") == 10


def test_zoom(page: Page) -> None:
    where = "[...document.querySelectorAll('circle.node')].map((one) => Number(one.getAttribute('cx')))"
    before = max(page.run(where))
    page.click("button[aria-label='zoom in']")
    assert max(page.run(where)) > before * 1.2
    page.click("button[aria-label='fit the window']")
    assert max(page.run(where)) == before


def test_search(page: Page) -> None:
    page.press("/")
    for letter in "idea 8":
        page.press(letter)
    assert page.text(".tools [role=status]") == "1 found"
    assert page.run("document.querySelectorAll('circle.found').length") == 1
    assert page.run("document.querySelectorAll('circle.faint').length") == 9
    page.press("Enter")
    assert chosen(page) == "Step 8"


def test_colours(page: Page) -> None:
    fills = "[...document.querySelectorAll('circle.node')].map((one) => one.style.fill || one.style.stroke)"
    seen = []
    for value in page.run("[...document.getElementById('colour').options].map((one) => one.value)"):
        page.run(
            f"(() => {{ const one = document.getElementById('colour'); one.value = {json.dumps(value)};"
            "one.dispatchEvent(new Event('change')); })()"
        )
        seen.append(tuple(page.run(fills)))
    assert len(seen) == 7  # score, generation, tokens, cost, three splits
    assert len(set(seen)) >= 4


def test_plots_and_heat_map_choose(page: Page) -> None:
    page.click("section[aria-label='Score over steps'] svg", 0.99, 0.5)
    assert chosen(page) == "Step 8"
    page.run("document.querySelector(\"section[aria-label='Score over steps'] svg\").focus()")
    page.press("ArrowLeft")
    assert chosen(page) == "Step 7"
    page.click(".heat canvas", 0.01, 0.01)
    assert chosen(page) == "Step 0"
    assert "step 0, task validation-t2: score 1.0" in page.text(".heat + .readout")
    page.press("ArrowRight")
    assert chosen(page) == "Step 1"
    for _ in range(11):
        page.press("ArrowDown")
    assert "task validation-t11: no answer that counts" in page.text(".heat + .readout")


def test_phone_and_dark(page: Page) -> None:
    light = page.run("getComputedStyle(document.body).backgroundColor")
    page.theme("dark")
    assert page.run("getComputedStyle(document.body).backgroundColor") != light
    page.click("header button")
    assert page.run("getComputedStyle(document.body).backgroundColor") == light
    page.resize(360, 740, mobile=True)
    page.wait("document.querySelector('.tree svg').clientWidth < 360")
    assert page.run("document.documentElement.scrollWidth") == 360


def test_text_of_programs_does_nothing(page: Page) -> None:
    page.click("circle.node[data-i='2']")
    assert "</script><script>" in page.text("aside .says")
    assert "<img src=x onerror=alert(1)>.py" in page.text("aside pre")
    for step in range(10):
        page.run(f"location.hash = '#step={step}'")
        page.wait(f"document.querySelector('aside h2').textContent.startsWith('Step {step} ')")
    assert page.run("window.owned") is None
    assert page.run("document.querySelectorAll('img, iframe, object, embed, base, form').length") == 0
    assert page.run("document.querySelectorAll('script').length") == 0  # its own are gone with the first drawing
    assert page.run("/[\\u202a-\\u202e\\u2066-\\u2069\\x1b]/.test(document.body.textContent)") is False
    assert "reads <i>tables</i>" in page.text("section[aria-label='Skills']")


def test_the_policy_stops_what_would_get_through(chromium: Page, file: Path) -> None:
    chromium.open(file.as_uri())
    stopped = chromium.run(
        "new Promise((done) => { const seen = [];"
        "document.addEventListener('securitypolicyviolation', (event) => {"
        "seen.push(event.effectiveDirective); if (seen.length === 3) done(seen.sort()); });"
        f"const script = document.createElement('script'); script.textContent = {json.dumps(OWNED)};"
        "document.body.append(script);"
        "const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image);"
        "fetch('http://127.0.0.1:9/x').catch(() => 0); })"
    )
    assert stopped == ["connect-src", "img-src", "script-src-elem"]
    assert chromium.run("window.owned") is None


def test_a_served_page_shows_what_happens(chromium: Page, tmp_path: Path) -> None:
    writer = assembly.open_archive(tmp_path, write=True, create=True)
    campaign = make_campaign(writer, "live", variants=1)
    reader = assembly.open_archive(tmp_path)
    server = PageServer(_ArchivePages(Context(), reader, False), poll=0.05)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        chromium.open(server.url)
        assert "live" in chromium.text("tbody tr")
        chromium.click("tbody a")
        chromium.wait("document.querySelectorAll('circle.node').length === 2")
        chromium.wait("document.querySelector('.badge.live')?.textContent === 'live'")
        chromium.click("circle.node[data-i='0']")
        add_step(writer, campaign, 2, writer.variants(campaign.id)[1])
        chromium.wait("document.querySelectorAll('circle.node').length === 3")
        assert chosen(chromium) == "Step 0"  # the choice stays
        assert chromium.problems == []
        assert all(address.startswith((server.url, "data:")) for address in chromium.requests)
        assert chromium.run("window.owned") is None
    finally:
        chromium.open("about:blank")
        server.close()
        thread.join(20)
        reader.close()
        writer.close()
    assert not thread.is_alive()
