"""Find a model: a file, a name of the zoo, or an address with a checksum, which is fetched once."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lutra import zoo
from lutra.files import sha256_of, write_whole

if TYPE_CHECKING:
    from urllib.request import HTTPRedirectHandler

MAX_BYTES = 256 << 20
"""The largest model that is fetched; the largest published system has 17.3 MiB of tables."""
TIMEOUT = 30.0
"""Seconds that a server may stay silent."""
TOTAL_TIME = 600.0
"""Seconds that a download may take."""
_BLOCK = 1 << 16


def find_model(model: str | PathLike[str]) -> Path:
    """Return the file of a model.

    Args:
        model: a file; a name that `lutra models` lists; or an address `https:` or `file:` that ends in
            `#sha256=` and the file's SHA-256 in 64 hexadecimal digits. What is fetched is kept in `cache()`.

    Raises:
        FileNotFoundError: it is neither a file nor a name of the zoo.
        ValueError: the address is incomplete, or the file there is too large or does not match the checksum.
        OSError: the address cannot be reached.
    """
    text = os.fspath(model)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)  # two letters at least: C: is a drive
    if scheme and not Path(text).exists():
        return _fetch(text, scheme[1].lower())
    known = zoo.models()
    if text in known and not Path(text).is_file():
        return known[text]
    if not Path(text).exists():
        names = ", ".join(known) or "which is empty"
        raise FileNotFoundError(f"{text}: no such model file, nor a name of the zoo ({names})")
    return Path(text)


def find_or_choose(model: str | PathLike[str] | None, task: str | None = None, scale: float | None = None) -> Path:
    """Return the file of a model, or of the one that `lutra.zoo.choose` chooses by task and scale.

    Raises:
        ValueError, OSError: as `find_model` and `choose` do; also where a model and a task or a scale are given.
    """
    if model is None:
        return zoo.choose(task, scale).path
    if task is not None or scale is not None:
        raise ValueError(f"found model {os.fspath(model)} and a task or scale, which choose one: expected either")
    return find_model(model)


def name_of(model: str | PathLike[str]) -> str:
    """Return the name of a model's file, without its folder, suffix and checksum."""
    return Path(os.fspath(model).partition("#")[0]).stem


def cache() -> Path:
    """Return the folder of fetched models: $LUTRA_CACHE, or `lutra` in the user's folder for caches."""
    if own := os.environ.get("LUTRA_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lutra"


def _fetch(address: str, scheme: str) -> Path:
    location, _, fragment = address.partition("#")
    if scheme not in ("https", "file"):
        raise ValueError(f"{location}: an address of kind {scheme}:, expected https: or file:")
    checksum = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if checksum is None:
        raise ValueError(f"{address}: no checksum, expected the address to end in #sha256= and 64 hexadecimal digits")
    expected = checksum[1].lower()
    path = cache() / f"{expected}.safetensors"
    if path.is_file() and sha256_of(path) == expected:
        return path
    content = _download(location)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(f"{location}: its SHA-256 is {found}, expected {expected}")
    write_whole(path, content)
    return path


def _download(location: str) -> bytes:
    from http.client import HTTPException
    from urllib.request import build_opener  # takes a moment to import

    try:
        with build_opener(_redirects()).open(location, timeout=TIMEOUT) as response:
            return _read(response, location)
    except (OSError, HTTPException) as error:
        raise OSError(f"{location}: {getattr(error, 'reason', None) or error}") from None


def _redirects() -> HTTPRedirectHandler:
    from urllib.request import HTTPRedirectHandler

    class Secure(HTTPRedirectHandler):
        """Follows redirects to https: alone."""

        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            if not newurl.lower().startswith("https:"):
                raise OSError(f"redirects to {newurl}, expected an https: address")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return Secure()


def _read(response: BinaryIO, location: str) -> bytes:
    content, end = bytearray(), time.monotonic() + TOTAL_TIME
    while block := response.read1(_BLOCK):  # type: ignore[attr-defined]  # returns what has arrived, so that the time is checked
        content += block
        if len(content) > MAX_BYTES:
            raise ValueError(f"{location}: more than {MAX_BYTES} bytes, which no model has")
        if time.monotonic() > end:
            raise OSError(f"found {len(content)} bytes after {TOTAL_TIME:.0f} s, expected the whole file by then")
    return bytes(content)
