"""The commands that errors and notes give for installing the library."""

import importlib.metadata
import json
import re
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lutra
from lutra import distribution

ROOT = Path(__file__).resolve().parents[2]


def installed(monkeypatch: pytest.MonkeyPatch, record: dict[str, Any] | None) -> None:
    """Let pip have written this direct_url.json; None: it wrote none, because the library came from an index."""
    found = SimpleNamespace(read_text={"direct_url.json": record and json.dumps(record)}.get)
    monkeypatch.setattr(importlib.metadata, "distribution", {distribution.NAME: found}.__getitem__)


def test_the_name_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == distribution.NAME
    assert lutra.__version__ in (project["version"], "0.0.0")  # 0.0.0: sources that were never installed


def test_from_an_index_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, None)
    assert distribution.pip_install("train") == "pip install 'lutra-restore[train]'"
    assert distribution.pip_install(rebuild=True) == "pip install --force-reinstall --no-deps lutra-restore"


@pytest.mark.parametrize(("editable", "option"), [(True, " -e"), (False, "")])
def test_from_a_checkout_the_checkout_is_named(
    editable: bool, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my checkout"
    installed(monkeypatch, {"url": folder.as_uri(), "dir_info": {"editable": editable}})
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    assert distribution.pip_install("video") == f"pip install{option} '{folder}[video]'"
    assert distribution.pip_install(rebuild=True) == f"pip install --force-reinstall --no-deps{option} '{folder}'"


def test_from_a_checkout_that_is_gone_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": False}})
    assert distribution.pip_install("train") == "pip install 'lutra-restore[train]'"


def test_from_a_wheel_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"url": ROOT.as_uri(), "archive_info": {}})
    assert distribution.pip_install("train") == "pip install 'lutra-restore[train]'"


def test_sources_that_were_never_installed_name_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert distribution.pip_install("train") == f"pip install -e {shlex.quote(f'{ROOT}[train]')}"
    assert distribution.version() == "0.0.0"


def test_no_text_installs_the_other_project_of_the_imports_name() -> None:
    wrong = re.compile(r"pip install\b[^`\n]*?[\s'\"]lutra(?:[\['\"`]|$)", re.MULTILINE)
    assert wrong.search("run `pip install --no-deps lutra` to") and wrong.search("(pip install 'lutra[bench]')")
    paths = [ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("*.t*"), *ROOT.glob("*.yaml")]
    for folder in ("docs", "examples", "lutra", "pipeline", "workflow"):
        paths += (ROOT / folder).rglob("*.*")
    texts = (".md", ".py", ".yaml", ".j2", ".rst", ".toml", ".txt", ".c", "")
    assert not [path for path in paths if path.suffix in texts and path.is_file() and wrong.search(path.read_text())]
