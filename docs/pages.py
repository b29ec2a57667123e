"""Pages of the site that lie elsewhere in the checkout (mkdocs.yml calls this): README, CONTRIBUTING, CHANGELOG."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {"README.md": "start.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the checkout, and their names on the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the site; their links lead to where their targets are there."""
    root = Path(config.config_file_path).parent
    for name, page in PAGES.items():
        text = (root / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/", "](", text)
        for other, place in PAGES.items():
            text = text.replace(f"]({other}", f"]({place}")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead links out of docs/ to the pages above."""
    for name, page in PAGES.items():
        markdown = markdown.replace(f"](../{name}", f"]({page}")
    return markdown
