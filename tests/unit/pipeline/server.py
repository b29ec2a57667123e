"""A server of files on this machine that misbehaves as it is told."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """The content of the server, and how each of its answers goes wrong in turn; the later ones are right."""

    content: bytes = b""
    tag: str | None = '"one"'
    faults: list[dict[str, Any]] = field(default_factory=list)
    """cut: bytes that are sent; stall: seconds after them; status; length: what Content-Length says; ranges: False;
    drip: seconds after each byte."""
    requests: list[str | None] = field(default_factory=list)
    """The Range of each request."""
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    served: Served

    def do_GET(self) -> None:
        served, wanted = self.served, self.headers.get("Range")
        served.requests.append(wanted)
        fault = served.faults.pop(0) if served.faults else {}
        start = 0
        if wanted and fault.get("ranges", True) and self.headers.get("If-Range") == served.tag:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        body = served.content[start:]
        self.send_response(fault.get("status", 206 if start else 200))
        if (length := fault.get("length", len(body))) is not None:
            self.send_header("Content-Length", str(length))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        if served.tag:
            self.send_header("ETag", served.tag)
        self.end_headers()
        if "drip" in fault:
            self._drip(body, fault["drip"])
        else:
            self.wfile.write(body[: fault.get("cut", len(body))])
        self.wfile.flush()
        time.sleep(fault.get("stall", 0))

    def _drip(self, body: bytes, pause: float) -> None:
        with suppress(OSError):  # until the other side has enough
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(pause)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Served]:
    """The server while the body runs; its one file has every name."""
    served = Served()
    handler = type("Handler", (_Handler,), {"served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
