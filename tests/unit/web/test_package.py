"""The package @lutra/web: its types are those of its code, and whoever installs it restores in Node."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import lutra
from lutra.engine.plan_file import to_bytes
from lutra.model import artifact
from lutra.restore.restorer import Restorer
from lutra.zoo import models
from tests.golden.cases import model
from tests.unit.liblutra.building import ROOT, clean, run

pytestmark = [
    pytest.mark.xdist_group("web"),
    pytest.mark.skipif(not shutil.which("npm"), reason="needs npm"),
]
TYPESCRIPT = "typescript@5.9.3"
ABSENT = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "E403", "ENOTCACHED")
NPM = ("--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=30000", "--loglevel=error")

PROGRAM = """
import { load } from "@lutra/web";
import { readFileSync, writeFileSync } from "node:fs";
const model = await load(process.argv[2], { workers: 2 });
const [width, height] = [230, 26];
const steps = [];
const data = new Uint8Array(readFileSync("in.rgba"));
const restored = await model.restore({ data, width, height }, { progress: (done, total) => steps.push([done, total]) });
writeFileSync("out.rgba", restored.data);
const { title, scale, colours, margin, luma, bytes } = model;
const size = [restored.width, restored.height];
console.log(JSON.stringify({ title, scale, colours, margin, luma, bytes, steps, size }));
const signal = AbortSignal.abort();
console.log(await model.restore({ data, width, height }, { signal }).catch((error) => error.name));
model.close();
console.log(await load(new Uint8Array(40)).catch((error) => error.message));
console.log(await load("absent.lut").catch((error) => error.code));
"""
USE = """
import { load, type Model } from "@lutra/web";
const model: Model = await load("mulut.lut", { workers: 2 });
const image: ImageData = await model.restore(new ImageData(3, 2), {
  signal: AbortSignal.timeout(9),
  progress(done, total) { const share: number = done / total; },
});
const larger: ImageData = await model.restore(image, { scale: 2.5 });
await model.restore(larger, model.anySize ? { width: 1920, height: 1080 } : {});
const facts: [string, number, number, number, boolean, number] =
  [model.title, model.scale, model.colours, model.margin, model.luma, model.bytes];
model.close();
"""


@pytest.fixture(scope="session")
def tsc() -> tuple[str, ...]:
    """The command of TypeScript's compiler, installed once in a checkout; skips where npm reaches no registry."""
    folder = ROOT / "build" / "typescript"
    folder.mkdir(parents=True, exist_ok=True)
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    with FileLock(folder / "lock"):
        if not compiler.exists():
            command = ["npm", "install", "--prefix", str(folder), *NPM, TYPESCRIPT]
            ended = subprocess.run(command, env=clean(), capture_output=True, text=True, check=False)
            if any(code in ended.stderr for code in ABSENT):
                pytest.skip(f"{TYPESCRIPT} cannot be installed: {ended.stderr.splitlines()[0]}")
            assert ended.returncode == 0, ended.stderr
    return "node", str(compiler)


@pytest.fixture(scope="session")
def user(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the packed package is installed in."""
    made = tmp_path_factory.mktemp("user")
    tarball = run("npm", "pack", *NPM, "--pack-destination", made, cwd=folder / "npm").split()[-1]
    assert tarball.startswith("lutra-web-")
    (made / "package.json").write_text('{ "type": "module" }')
    run("npm", "install", *NPM, "--offline", f"./{tarball}", cwd=made)
    return made


def test_types_are_generated_from_the_code(tsc: tuple[str, ...], tmp_path: Path) -> None:
    """`npm exec --package=typescript@5.9.3 -- tsc -p web` writes them."""
    run(*tsc, "-p", ROOT / "web", "--outDir", tmp_path)
    found = {path.name: path.read_text() for path in (ROOT / "web" / "src" / "types").iterdir()}
    assert found == {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_types_serve_a_user(tsc: tuple[str, ...], user: Path) -> None:
    options = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom")
    (user / "use.mts").write_text(USE)
    run(*tsc, *options, "use.mts", cwd=user)
    (user / "wrong.mts").write_text(USE.replace("workers: 2", "workers: 'two'").replace("model.scale", "model.scales"))
    ended = subprocess.run([*tsc, *options, "wrong.mts"], cwd=user, capture_output=True, text=True, check=False)
    assert ended.stdout.count("error TS") == 2 and "'scales' does not exist" in ended.stdout


@pytest.mark.parametrize("name", ["mulut-dfc-x4", "spf-light-deblock10", "shiftlut-colours-x1"])
def test_an_installed_package_restores_in_node(user: Path, name: str) -> None:
    own = lutra.load(name) if name in models() else Restorer(model(name))
    plan = to_bytes(artifact.load(models()[name]) if name in models() else model(name))
    (user / "model.lut").write_bytes(plan)
    pixels = np.random.default_rng(3).integers(0, 256, (26, 230, 4), dtype=np.uint8)
    pixels[:, :150, 3] = 255 * (pixels[:, :150, 3] > 127)
    (user / "in.rgba").write_bytes(pixels.tobytes())
    (user / "program.mjs").write_text(PROGRAM)
    source = (user / "model.lut").as_uri() if name == "mulut-dfc-x4" else "model.lut"
    facts, *rest = run("node", "program.mjs", source, cwd=user).splitlines()
    assert (user / "out.rgba").read_bytes() == own.restore(pixels).tobytes()
    description = own.artifact.description
    luma = str(own.artifact.trained_planes == "luma").lower()
    assert facts.startswith(f'{{"title":"{description.family} x{own.scale}, ')
    assert f'"scale":{own.scale},"colours":{description.colours},"margin":{description.radius},"luma":{luma}' in facts
    assert facts.endswith(f'"bytes":{len(plan)},"steps":[[1,2],[2,2]],"size":[{230 * own.scale},{26 * own.scale}]}}')
    assert rest == ["AbortError", "plan file: it does not begin as a plan file does", "ENOENT"]


def test_the_package_holds_what_its_files_import(user: Path) -> None:
    installed = {str(path.relative_to(user / "node_modules/@lutra/web")) for path in user.rglob("@lutra/web/**/*.*")}
    sources = {os.path.relpath(path, ROOT / "web" / "src") for path in (ROOT / "web" / "src").rglob("*.*")}
    assert installed == sources | {"lutra.wasm"}
