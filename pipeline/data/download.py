"""Download large files: resume where one stopped, never mix two versions, check the file before use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from urllib3.exceptions import HTTPError

from lutra.files import write_whole
from lutra.terminal import printable

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Patience:
    """Limits on how long to wait for a server."""

    connect: float = 20.0
    """Seconds until it answers the call."""
    stall: float = 60.0
    """Seconds in which no byte comes."""
    attempts: int = 4
    """Failures in a row that bring no further byte, or too few."""
    least: int = 1 << 16
    """Bytes that must come within `window`; with fewer, the server counts as stalled."""
    window: float = 120.0
    """Seconds."""
    pause: float = 2.0
    """Seconds before the second attempt, doubled at each further one."""


def download(
    url: str,
    path: Path,
    checksum: str | None = None,
    *,
    room: Callable[[int, int], None] = lambda left, size: None,
    patience: Patience | None = None,
) -> Path:
    """Download a file; the next call continues what an interruption leaves (`.part` next to it).

    Args:
        url: `http:` or `https:`.
        path: the file, which appears whole; one that exists and has the checksum is kept.
        checksum: `sha256:...` or `md5:...`.
        room: called with the bytes still to come and those of the whole file, if the server states them; raises an
            error to stop.
        patience: `Patience()` by default.

    Raises:
        ValueError: the file has another checksum; it is deleted.
        OSError: the server cannot be reached, has no such file or stopped; names the address.
    """
    if path.is_file() and (checksum is None or _checksum_of(path, checksum) == checksum):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    download = _Resuming(path.with_name(f"{path.name}.part"), room, patience or Patience())
    download.finish(url)
    if checksum is not None and (found := _checksum_of(download.part, checksum)) != checksum:
        download.forget()
        algorithm, found = found.split(":")
        reason = f"{algorithm.upper()} hash of the downloaded file: expected {checksum} but got {found}. Deleted it."
        raise ValueError(f"{url}: {reason}")
    os.replace(download.part, path)
    download.forget()
    return path


def _checksum_of(path: Path, like: str) -> str:
    """Return a file's checksum as `sha256:...` or `md5:...`, by the algorithm of another one."""
    algorithm = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


class _Stopped(Exception):
    """The download ended early; another attempt may help."""


class _TooSlow(_Stopped):
    """Bytes come too slowly for the download to end."""


class _Resuming:
    """A download that keeps the bytes that came in `part`, and what they belong to in a file next to it."""

    def __init__(self, part: Path, room: Callable[[int, int], None], patience: Patience) -> None:
        self.part, self.room, self.patience = part, room, patience
        self.about = part.with_name(f"{part.name}.json")

    def finish(self, url: str) -> None:
        """Receive the bytes that are missing in `part`."""
        best, failures = self._have(), 0
        while True:
            try:
                self._attempt(url)
                return
            except (requests.RequestException, HTTPError, _Stopped) as error:
                have = self._have()
                failures = 0 if have > best and not isinstance(error, _TooSlow) else failures + 1
                best = max(best, have)
                if failures >= self.patience.attempts:
                    kept = f"; {have} bytes are kept, the next call continues from there" if have else ""
                    raise OSError(f"{url}: {_reason(error)}{kept}") from None
                time.sleep(self.patience.pause * 2 ** max(0, failures - 1))

    def forget(self) -> None:
        """Delete what is kept for resuming."""
        self.part.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _known(self, url: str) -> dict[str, Any]:
        """Return what the kept bytes belong to; delete them and return {} if that is unknown or another address."""
        with suppress(OSError, ValueError):
            known: dict[str, Any] = json.loads(self.about.read_text())
            whole = known["size"] == self._have()
            if known["url"] == url and self._have() and (known["validator"] or whole):
                return known
        self.forget()
        return {}

    def _attempt(self, url: str) -> None:
        known = self._known(url)
        start = self._have()
        if known and known["size"] == start:
            return
        headers = {"Accept-Encoding": "identity"}  # the bytes as the server stores them: only those can be continued
        if known:
            headers |= {"Range": f"bytes={start}-", "If-Range": known["validator"]}
        timeout = (self.patience.connect, self.patience.stall)
        with requests.get(url, headers=headers, timeout=timeout, stream=True) as response:
            if url.startswith("https:") and not response.url.startswith("https:"):
                raise OSError(f"{url}: found a redirect to {response.url}, expected an https: address")
            size = self._placed(url, response, known, start)
            start = self._have()
            if size is not None:
                self.room(size - start, size)
            if not start:
                about = {"url": url, "validator": _validator(response), "size": size}
                write_whole(self.about, json.dumps(about))
            self._receive(response, size)

    def _placed(self, url: str, response: requests.Response, known: dict[str, Any], start: int) -> int | None:
        """Return the size of the whole file; delete the kept bytes if the response starts from the beginning."""
        status, validator = response.status_code, _validator(response)
        if known and status == HTTPStatus.PARTIAL_CONTENT:
            ranged = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            same = validator in (None, known["validator"])
            size = known["size"] if ranged is None or ranged[2] == "*" else int(ranged[2])
            if ranged and int(ranged[1]) == start and same and known["size"] in (None, size):
                return int(size) if size is not None else None
        if known and status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            self.forget()
            raise _Stopped("the file changed on the server, or its answer does not continue the bytes kept")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise _Stopped(f"found the answer {status} {response.reason}, expected the file")
        if status != HTTPStatus.OK:
            raise OSError(f"{url}: found the answer {status} {response.reason}, expected the file")
        self.forget()
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else None
        return size

    def _receive(self, response: requests.Response, size: int | None) -> None:
        with (
            _progress(self.part.name.removesuffix(".part"), self._have(), size) as advance,
            self.part.open("ab") as file,
        ):
            try:
                # read1 returns what has come, so that a stall loses nothing
                since, came = time.monotonic(), 0
                while block := response.raw.read1(_BLOCK, decode_content=False):
                    file.write(block)
                    advance(len(block))
                    came += len(block)
                    if time.monotonic() - since > self.patience.window:
                        if came < self.patience.least:
                            raise _TooSlow(f"found {came} bytes in {self.patience.window:.0f} s, expected more")
                        since, came = time.monotonic(), 0
            except HTTPError as error:
                raise _Stopped(_reason(error)) from None
        if size is not None and self._have() != size:
            raise _Stopped(f"found {self._have()} bytes, expected {size}")


def _validator(response: requests.Response) -> str | None:
    """Return what identifies this version of the file, if it is strong enough to continue a download."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout) or "timed out" in text:
        return "the server sends nothing"
    return text if isinstance(error, _Stopped) else f"the connection failed ({text})"


@contextmanager
def _progress(name: str, have: int, size: int | None) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(printable(name), total=size, completed=have)
        yield lambda count: bar.advance(task, count)
