"""Time every model of the zoo in Chromium and natively, in turns, one thread: `python web/bench.py [RECORD.json]`.

The page must be built (`make web`).
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import lutra  # noqa: E402
from lutra import engine, zoo  # noqa: E402
from lutra.evaluation.bench import frame, machine  # noqa: E402
from tests.browser import browser  # noqa: E402

TURNS = 6
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
        for name in (one.name for one in zoo.listed() if not one.any_size):
            script = _LOAD.replace("NAME", json.dumps(name))
            for word, value in words.items():
                script = script.replace(word, json.dumps(value))
            page.run(script)
            own = lutra.load(name)
            in_browser, native = [], []
            for _ in range(TURNS):
                in_browser.append(page.run("once()"))
                start = perf_counter()
                own.restore(pixels, threads=1)
                native.append((perf_counter() - start) * 1000)
            row = {"name": name, "chromium_ms": round(min(in_browser), 2), "native_ms": round(min(native), 2)}
            rows.append(row | {"ratio": round(min(in_browser) / min(native), 2)})
            print(rows[-1], flush=True)
        version = page.run("navigator.userAgent")
    record = {"command": "python web/bench.py results/bench-web.json", "machine": machine(), "browser": version}
    record |= {"frame": {"width": width, "height": height, "planes": 3}, "threads": 1, "turns": TURNS}
    record |= {"level": engine.levels()[-1], "results": rows}
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
