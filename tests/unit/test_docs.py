"""The claims of the documents."""

import json
import re
import tomllib
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.reporting import record

ROOT = Path(__file__).resolve().parents[2]


def test_the_readmes_table_is_that_of_the_results() -> None:
    text = (ROOT / "README.md").read_text()
    assert record.readme_with_table(text) == text, "run `python -m pipeline record`"


def test_results_name_no_path() -> None:
    for path in (ROOT / "results").glob("*.json"):
        assert "/home/" not in path.read_text() and "../" not in path.read_text(), path.name


def test_links_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} == set(
        re.findall(r"\]\((\w+\.md)\)", index)
    )


def test_the_citation_is_of_the_projects_version() -> None:
    cited = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert json.loads((ROOT / "web/src/package.json").read_text())["version"] == project["version"]
    assert cited["authors"] == project["authors"]
    assert f"\n## {cited['version']} - {cited['date-released']}\n" in (ROOT / "CHANGELOG.md").read_text()
