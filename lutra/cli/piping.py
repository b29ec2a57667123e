"""`lutra pipe`: frames from a pipe to a pipe."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from lutra.cli.common import MODEL, Pixels, Threads, app


@app.command()
def pipe(
    model: Annotated[str, typer.Option("--model", "-m", help=MODEL)],
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, or cuda, which needs torch.")] = "cpu",
    max_pixels: Pixels = None,
) -> None:
    """Restore a video from standard input to standard output, both uncompressed (y4m, 8 bits).

    ffmpeg -i in.mp4 -f yuv4mpegpipe - | lutra pipe -m NAME | ffmpeg -i - out.mp4
    """
    from lutra.restore.anyform import MAX_PIXELS
    from lutra.restore.restorer import load
    from lutra.video.y4m import restore_stream

    if sys.stdin.isatty() or sys.stdout.isatty():
        which = "input" if sys.stdin.isatty() else "output"
        raise ValueError(f"standard {which}: found a terminal, expected a pipe, such as one to or from ffmpeg")
    restorer = load(model, device=device)
    # Unbuffered: a thread that waits in a buffered stream would keep Python from ending.
    with open(0, "rb", buffering=0, closefd=False) as source, open(1, "wb", buffering=0, closefd=False) as target:
        try:
            restore_stream(restorer, source, target, threads=threads, max_pixels=max_pixels or MAX_PIXELS)
        except BrokenPipeError:  # a player that was closed: end as other programs in a pipe do, without a word
            raise typer.Exit(128 + signal.SIGPIPE) from None
