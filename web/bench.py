"""Time every model of the zoo in Chromium and natively, in turns, one thread: `python web/bench.py [RECORD.json]`.

The page must be built (`make web`).
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import lutra  # noqa: E402
from lutra import engine, zoo  # noqa: E402
from lutra.evaluation.bench import frame, machine  # noqa: E402
from tests.browser import Page, browser  # noqa: E402

TURNS = 15
SECONDS = 1.5
"""How long each model restores in the browser before it is timed: the browser compiles in two steps."""

_LOAD = """(async () => {
  const module = await compiled, plan = await planOf(NAME), pixels = await decode(PIXELS, false);
  globalThis.timed = new Core(module, plan);
  globalThis.once = () => {
    const tile = { width: WIDTH, height: HEIGHT, left: 0, top: 0, columns: WIDTH, rows: HEIGHT, gray: false };
    const start = performance.now();
    timed.restore(pixels, tile);
    return performance.now() - start;
  };
  const until = performance.now() + 1000 * SECONDS;
  do { once(); await new Promise((resolve) => setTimeout(resolve)); } while (performance.now() < until);
})()"""


def _native() -> list[str]:
    """Return the levels of vector instructions that are measured natively."""
    return [level for level in engine.levels() if level != "portable"]


def fastest(page: Page, name: str, pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Return the least milliseconds of a model in the browser and at every native level, measured in turns."""
    own = {}
    for level in _native():
        with patch.dict(os.environ, {engine.LEVEL_VARIABLE: level}):
            own[level] = lutra.load(name)
    times: dict[str, list[float]] = {where: [] for where in ("chromium", *own)}
    for _ in range(TURNS):
        times["chromium"].append(page.run("once()"))
        for level, model in own.items():
            start = perf_counter()
            model.restore(pixels, threads=1)
            times[level].append((perf_counter() - start) * 1000)
    return {where: min(each) for where, each in times.items()}


def main() -> None:
    """Measure, print and, where a file is given, record."""
    pixels = frame("320x180", None)
    height, width = pixels.shape[:2]
    rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
    words = {"PIXELS": base64.b64encode(rgba.tobytes()).decode(), "WIDTH": width, "HEIGHT": height, "SECONDS": SECONDS}
    rows = []
    with browser() as page:
        page.open((ROOT / "build" / "web" / "index.html").as_uri())
        page.wait("!!document.querySelector('#task option')", 60)
        page.run(f"{(ROOT / 'web' / 'src' / 'core.js').read_text().replace('export class', 'globalThis.Core = class')}")
        for name in zoo.models():
            script = _LOAD.replace("NAME", json.dumps(name))
            for word, value in words.items():
                script = script.replace(word, json.dumps(value))
            page.run(script)
            least = fastest(page, name, pixels)
            ratios = {level: round(least["chromium"] / least[level], 2) for level in _native()}
            rows.append({"name": name, "ms": {where: round(ms, 2) for where, ms in least.items()}, "ratios": ratios})
            print(rows[-1], flush=True)
        version = page.run("navigator.userAgent")
    record = {"command": "python web/bench.py results/bench-web.json", "machine": machine(), "browser": version}
    record |= {"frame": {"width": width, "height": height, "planes": 3}, "threads": 1, "turns": TURNS}
    record |= {"results": rows}
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
