"""Chromium without a window, for tests of pages: real keys, themes, widths of the screen, print.

It is driven through the pipe of the DevTools protocol, so no other package is needed:
https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest


def chromium() -> str:
    """Return the path of Chromium; skip the test without one, or fail it if a browser is required."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    reason = "no Chromium on this machine (Debian: apt-get install chromium)"
    if os.environ.get("ASC_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


KEYS = {"Enter": (13, "\r"), "Tab": (9, "")}
"""{key: its code, and the text it types} of keys that are no characters."""


class Browser:
    """One page in Chromium."""

    def __init__(self, profile: Path, page: Path) -> None:
        self._profile, self._page = profile, page
        self._number = 0
        self._session = ""
        self._received = b""
        self._stack = ExitStack()
        self.console: list[str] = []
        """Messages and errors of the page's scripts."""

    def __enter__(self) -> Browser:
        to_read, self._to_write = os.pipe()
        from_read, from_write = os.pipe()
        command = [
            *(chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
            f"--user-data-dir={self._profile}",
        ]
        shell = ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{from_write}', "bash", *command]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(shell, pass_fds=(to_read, from_write), **quiet)
        os.close(to_read)
        os.close(from_write)
        self._answers = os.fdopen(from_read, "rb")
        self._stack.callback(process.wait, 30)
        self._stack.callback(self._answers.close)
        self._stack.callback(os.close, self._to_write)
        self._stack.callback(self.send, "Browser.close")
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Page", "Log"):
            self.send(f"{domain}.enable")
        self.look(width=1280)
        self.send("Page.navigate", url=self._page.as_uri())
        self.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")
        self.settle()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to a command of the protocol."""
        self._number += 1
        of_page = {"sessionId": self._session} if self._session and not method.startswith(("Target", "Browser")) else {}
        message = {"id": self._number, "method": method, "params": params, **of_page}
        os.write(self._to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                result: dict[str, Any] = answer["result"]
                return result
            if answer.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                self.console.append(json.dumps(answer["params"]))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            read = self._answers.read1(1 << 16)
            assert read, "Chromium has ended"
            self._received += read
        message, _, self._received = self._received.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page, awaited if it is a promise."""
        found = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def settle(self) -> None:
        """Wait until the interactive plot, if there is one, is drawn."""
        self.run(
            "new Promise(async done => { const box = document.getElementById('pareto-view');"
            "while (box && !box.querySelector('.plot svg')) await new Promise(later => setTimeout(later, 50));"
            "requestAnimationFrame(() => setTimeout(done, 100)); })"
        )

    def look(self, *, width: int = 1280, dark: bool = False, printed: bool = False) -> None:
        """Set the width in pixels, the theme, and whether the page is laid out for paper."""
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="print" if printed else "screen", features=[theme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def press(self, *keys: str) -> None:
        """Press and release keys: `Enter`, `Tab`, or a character."""
        for key in keys:
            code, text = KEYS.get(key, (ord(key[0].upper()), key))
            event = {"key": key, "text": text, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event)
            self.send("Input.dispatchKeyEvent", type="keyUp", **event)
