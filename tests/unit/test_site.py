"""The site of the guides and the API reference."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def built(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout; warnings fail, such as those of links that lead nowhere."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "-f", str(root / "mkdocs.yml"), "-d", str(folder)]
    variables = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_holds_the_guides_and_the_projects_pages(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"}
    assert pages | {"index", "start", "contributing", "changelog"} <= {path.stem for path in site.glob("*.html")}


def test_every_room_of_the_library_has_its_reference(site: Path) -> None:
    text = (site / "api" / "restore.html").read_text()
    assert 'id="lutra.restore.restorer.Restorer.restore"' in text and "Parameters:" in text and "Returns:" in text
    assert "Args:" not in text and "Raises:</p>" not in text
    rooms = {path.parent.name for path in (ROOT / "lutra").glob("*/__init__.py")}
    described = {path.stem for path in (site / "api").glob("*.html")}
    assert rooms - described == {"_core", "cli", "reference", "zoo"}  # not the library's interface; model has the zoo


def test_fields_and_arguments_that_share_a_line_are_listed_one_by_one(site: Path) -> None:
    text = re.sub(r"<[^>]*>|\s+|\u2013", "", (site / "api" / "training.html").read_text())
    assert "Attributes:steps(int)oftheoptimiser.batch(int)patches" in text
    assert "final_learning_rate(float)ofAdam" in text and "checkpoint_every(int)insteps." in text
    assert '<span class="gp">' in (site / "api" / "lutra.html").read_text()  # an example, highlighted
    text = re.sub(r"<[^>]*>|\s+|\u2013", "", (site / "api" / "restore.html").read_text())
    assert "image(" in text and "asforrestore.threads(int|None" in text


def test_search_finds_functions_and_guides(site: Path) -> None:
    places = {entry["location"] for entry in json.loads((site / "search" / "search_index.json").read_text())["docs"]}
    assert {"api/training.html#lutra.training.fit", "tables.html", "changelog.html"} <= places


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loading = re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", page.read_text())
        assert not [tag for tag in loading if re.search(r"""\s(?:src|href)=["']?(?:https?:)?//""", tag)], page


def test_a_link_that_leads_nowhere_fails(tmp_path: Path) -> None:
    settings = (ROOT / "mkdocs.yml").read_text()
    before, after = settings.partition("\nnav:")[0], settings.partition("\nvalidation:")[2]
    (tmp_path / "mkdocs.yml").write_text(f"{before}\nvalidation:{after}")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "pages.py").write_text((ROOT / "docs" / "pages.py").read_text())
    (tmp_path / "docs" / "README.md").write_text("[there](elsewhere.md)\n")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        (tmp_path / name).write_text("# Page\n")
    (tmp_path / "lutra").mkdir()
    (tmp_path / "docs" / "elsewhere.md").write_text("# Elsewhere\n")
    assert built(tmp_path, tmp_path / "site").returncode == 0
    (tmp_path / "docs" / "elsewhere.md").unlink()
    done = built(tmp_path, tmp_path / "site")
    assert done.returncode == 1 and "elsewhere.md" in done.stderr
