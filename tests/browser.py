"""A browser without a window, told what to do over a pipe (the DevTools protocol): Chromium, and nothing to install.

As a command it photographs a page: `python -m tests.browser ADDRESS FILE.png [WIDTH] [HEIGHT]`.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# MLflow opens its assistant's panel on the first visit
_NO_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"


def executable() -> str | None:
    """Return the browser's path, None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def rounded(value: float) -> str:
    """A number as MLflow's page that compares runs rounds it."""
    return f"{round(value, 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1):g}" if value % 1 else str(int(value))


class Page:
    """A page of the browser."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._from, self._count, self._session, self._unread = to, answers, 0, "", b""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")
        self._call("Page.addScriptToEvaluateOnNewDocument", source=_NO_ASSISTANT)

    def open(self, address: str, width: int = 1600, height: int = 1400) -> None:
        """Go to an address; does not wait for what its scripts show."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """Return the value of a script's expression, as far as JSON holds it."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", script))
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float) -> Any:
        """The expression's value once it is true; TimeoutError with the page's text when it does not become so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.2)
        raise TimeoutError(f"{script}: not within {seconds} s; the page says {self.run('document.body?.innerText')!r}")

    def wait_for(self, text: str, seconds: float) -> str:
        """The page's text once it has `text` in it; TimeoutError if it never does."""
        holds = f"document.body?.innerText.includes({json.dumps(text)}) && document.body.innerText"
        return str(self.wait(holds, seconds))

    def photograph(self, file: Path) -> None:
        """Write what is visible as PNG."""
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def _read(self) -> bytes:
        while b"\0" not in self._unread:
            content = os.read(self._from, 1 << 16)
            if not content:
                raise EOFError("the browser ended")
            self._unread += content
        message, _, self._unread = self._unread.partition(b"\0")
        return message


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are neither 3 nor 4."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


@contextmanager
def browser() -> Iterator[Page]:
    """A browser with one empty page, without settings of the user's."""
    found = executable()
    assert found is not None
    (requests, to), (answers, out) = _pipe(), _pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe"
        # Chromium reads requests from descriptor 3 and writes answers to 4
        command = f'exec "$0" {options} --user-data-dir="$1" 3<&{requests} 4>&{out}'
        process = subprocess.Popen(
            ["bash", "-c", command, found, profile], pass_fds=(requests, out), stderr=subprocess.DEVNULL
        )
        os.close(requests)
        os.close(out)
        try:
            page = Page(to, answers)
            yield page
            page._call("Browser.close")
        finally:
            os.close(to)
            os.close(answers)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


if __name__ == "__main__":
    with browser() as shown:
        width, height = (int(size) for size in (*sys.argv[3:5], "1600", "1400")[:2])
        shown.open(sys.argv[1], width, height)
        shown.wait("document.body?.innerText.length > 400", 240)
        time.sleep(10)  # charts
        shown.photograph(Path(sys.argv[2]))
