"""Build the page, the models and the npm package into one folder: `make web`."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lutra import zoo
from lutra.engine.plan_file import to_bytes
from lutra.model import artifact
from lutra.model.tasks import PREFERRED, TASKS

WEB = Path(__file__).resolve().parent
REPORT = WEB.parent / "pipeline" / "reporting" / "templates"
"""The page has its divider in common with the report."""
LIMIT = 300 * 1024
"""Bytes of the page at most, without the models."""


def build(core: Path, folder: Path) -> None:
    """Write the page, `models/` and the package `npm/` from a compiled core."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "models").mkdir(parents=True)
    models = []
    for name, path in zoo.models().items():
        model = artifact.load(path)
        plan = to_bytes(model)
        text = base64.b64encode(plan).decode()
        (folder / "models" / f"{name}.js").write_text(f'addPlan("{name}", "{text}");\n')
        title = TASKS[model.task].title if model.task in TASKS else str(model.task)
        scale = model.description.scale
        models.append({"name": name, "task": model.task, "title": title, "scale": scale, "bytes": len(plan)})
        models[-1]["anySize"] = model.description.any_size is not None
    models.sort(key=lambda model: model["task"] not in PREFERRED[:1])  # the page starts with the first one
    page = _page(core.read_bytes(), models)
    if len(page.encode()) > LIMIT:
        raise SystemExit(f"index.html has {len(page.encode())} bytes, expected at most {LIMIT}")
    (folder / "index.html").write_text(page)
    shutil.copytree(WEB / "src", folder / "npm")
    shutil.copy(core, folder / "npm" / "lutra.wasm")


def _page(core: bytes, models: list[dict[str, object]]) -> str:
    """Return the page as one file, which a browser may read from a disk."""
    worker = "\n".join(_script(WEB / "src" / name) for name in ("core.js", "worker.js"))
    packed = base64.b64encode(gzip.compress(core, 9, mtime=0)).decode()
    constants = {"MODELS": models, "WORKER": worker, "CORE": packed}
    data = "\n".join(f"const {name} = {json.dumps(value)};" for name, value in constants.items())
    scripts = (
        *(WEB / "src" / name for name in ("alpha.js", "sizes.js", "model.js")),
        *(REPORT / "divider.js", WEB / "page" / "page.js"),
    )
    style = "".join(path.read_text() for path in (REPORT / "divider.css", WEB / "page" / "page.css"))
    script = "\n".join(map(_script, scripts))
    parts = {"STYLE": style, "MODELS": data, "SCRIPT": script}
    page = (WEB / "page" / "page.html").read_text()
    for name, text in parts.items():
        page = page.replace(f"/*{name}*/", text.replace("</script", "<\\/script"))
    return page


def _script(path: Path) -> str:
    """Return a module as a part of a classic script."""
    text = re.sub(r"^import .*\n", "", path.read_text(), flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def main() -> None:
    """Compile the core and build everything into the folder given, or build/web."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else WEB.parent / "build" / "web"
    compiled = WEB.parent / "build" / "wasm"
    missing = [name for name in ("emcmake", "cmake", "ninja") if not shutil.which(name)]
    if missing:
        raise SystemExit(
            f"make web needs {', '.join(missing)}: on Debian, apt-get install emscripten cmake ninja-build"
        )
    subprocess.run(["emcmake", "cmake", "-G", "Ninja", "-S", WEB.parent, "-B", compiled], check=True)
    subprocess.run(["cmake", "--build", compiled], check=True)
    build(compiled / "lutra.wasm", folder)
    print(f"{folder / 'index.html'}: {(folder / 'index.html').stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
