"""A headless Chromium spoken to over a pipe: the DevTools protocol with the standard library, no driver, no port.

https://chromedevtools.github.io/devtools-protocol: messages are JSON, each ended by a NUL byte, on descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
PATIENCE = 60.0
# The browser wants the two ends on descriptors 3 and 4, whatever numbers they have here (even 3 and 4, crosswise).
LAUNCHER = """
import os, sys
ends = [os.dup(os.dup(os.dup(int(number)))) for number in sys.argv[1:3]]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {
    "Enter": 13, "Home": 36, "End": 35, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9,
}  # fmt: skip


def chromium_path() -> str:
    """The browser on this machine; empty where there is none. ``HYPERAGENT_CHROMIUM`` names another."""
    named = os.environ.get("HYPERAGENT_CHROMIUM", "")
    return named or next((found for name in NAMES if (found := shutil.which(name))), "")


class Page:
    """One browser with one page. Everything it complains about and asks for is kept.

    Attributes:
        problems: Console errors, uncaught exceptions, violations of the page's policy, in order.
        requests: Addresses asked for since the page was opened, the page itself first.
    """

    def __init__(self, path: str, *, width: int = 1400, height: int = 1000, mobile: bool = False) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        self._loaded = self._counting = False
        self._buffer = b""
        self._profile = tempfile.mkdtemp(prefix="hyperagent-chromium-")
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        command = [path, *ARGUMENTS, f"--user-data-dir={self._profile}", "about:blank"]
        launch = [sys.executable, "-c", LAUNCHER, str(to_browser), str(from_browser), *command]
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(launch, pass_fds=(to_browser, from_browser), stdout=null, stderr=null)
        os.close(to_browser)
        os.close(from_browser)
        target = self._ask("Target.createTarget", {"url": "about:blank"}, "")["targetId"]
        self._session = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True}, "")["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        self.resize(width, height, mobile)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        try:
            self._send("Browser.close", {}, "")
            self._process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._to)
            os.close(self._from)
            shutil.rmtree(self._profile, ignore_errors=True)

    # -- what tests do

    def open(self, address: str) -> None:
        self.problems.clear()
        self.requests.clear()
        self._loaded = False
        self._ask("Page.navigate", {"url": address})
        deadline = time.monotonic() + PATIENCE
        while not self._loaded:
            self._take(deadline)

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for. Raises AssertionError where it throws."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        found = self._ask("Runtime.evaluate", asked)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        return str(
            self.run(
                f"[document.querySelector({json.dumps(selector)})].map((one) => "
                "one?.innerText ?? one?.textContent ?? '')[0]"
            )
        )

    def wait(self, script: str) -> None:
        """Until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < deadline, f"never true: {script}"
            self.run("new Promise((done) => requestAnimationFrame(done))")

    def click(self, selector: str, share_x: float = 0.5, share_y: float = 0.5) -> None:
        """A real click of the mouse on the first element that matches, scrolled into view."""
        box = self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "one.scrollIntoView({ block: 'center' }); const box = one.getBoundingClientRect();"
            "return [box.left, box.top, box.width, box.height]; })()"
        )
        at = {"x": box[0] + box[2] * share_x, "y": box[1] + box[3] * share_y, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", {"type": kind, **at})

    def press(self, key: str) -> None:
        """A real key: one character, or one of KEYS."""
        asked: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": KEYS.get(key) or ord(key.upper())}
        if key not in KEYS:
            asked["text"] = key
        self._ask("Input.dispatchKeyEvent", {"type": "keyDown", **asked})
        self._ask("Input.dispatchKeyEvent", {"type": "keyUp", **asked})

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        asked = {"width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}
        self._ask("Emulation.setDeviceMetricsOverride", asked)

    def theme(self, name: str) -> None:
        self._ask("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def processor(self) -> float:
        """Seconds of processor that the page's main thread has used; counted from the first call on."""
        if not self._counting:
            self._counting = True
            self._ask("Performance.enable", {"timeDomain": "threadTicks"})
        metrics = {one["name"]: one["value"] for one in self._ask("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", {"format": "png"})["data"]))

    # -- the protocol

    def _send(self, method: str, parameters: dict[str, Any], session: str) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._to, json.dumps({**message, **({"sessionId": session} if session else {})}).encode() + b"\0")
        return self._number

    def _ask(self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        number = self._send(method, parameters or {}, self._session if session is None else session)
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self._take(deadline)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def _take(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            got = os.read(self._from, 1 << 20)
            assert got, "the browser ended"
            self._buffer += got
        one, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, of: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(of["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(of["exceptionDetails"].get("exception", of["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
            self.problems.append(f"{of['type']}: {of['args']}")
        elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{of['entry']['source']}: {of['entry']['text']}")
