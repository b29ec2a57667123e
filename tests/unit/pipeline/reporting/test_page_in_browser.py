"""The page's script in a real browser, if there is one: sorting, hidden rows, the divider."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.reporting import page
from tests.unit.pipeline import pages

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs chromium")

ACTIONS = """
<script>
const heads = (body) => [...document.querySelectorAll(`.${body} tr:not(.hidden) th`)];
const names = (body) => heads(body).map((cell) => cell.textContent.trim());
const press = (text) => [...document.querySelectorAll("thead button")].find((one) => one.textContent === text).click();
const cut = () => getComputedStyle(document.querySelector("img.left")).clipPath;
const said = {};
said.first = names("ours");
press("PSNR-Y, dB");
said.bestFirst = names("ours");
said.publishedToo = names("published").slice(0, 2);
said.heading = document.querySelector("[aria-sort]").getAttribute("aria-sort");
press("PSNR-Y, dB");
said.worstFirst = names("ours");
press("experiment");
said.byName = names("ours");
press("tableKiB");
said.largestFirst = names("ours");
document.querySelector(".all-kinds").click();
said.everyKind = names("ours").length;
said.labels = [...document.querySelector(".left-version").options].map((one) => one.text);
said.versions = ["left", "right"].map((side) => document.querySelector(`img.${side}`).alt);
const split = document.querySelector(".split");
said.cut = [cut()];
split.value = 20;
split.dispatchEvent(new Event("input"));
said.cut.push(cut());
const box = split.getBoundingClientRect();
split.dispatchEvent(new PointerEvent("pointerdown", { clientX: box.left + 0.75 * box.width, buttons: 1 }));
said.cut.push(cut());
said.value = split.getAttribute("aria-valuetext");
const right = document.querySelector(".right-version");
right.value = right.options.length - 1;
right.dispatchEvent(new Event("change"));
document.querySelector("[data-picture='1']").click();
said.after = document.querySelector("img.right").alt;
said.pressed = [...document.querySelectorAll("[data-picture]")].map((one) => one.getAttribute("aria-pressed"));
said.widths = [document.documentElement.scrollWidth <= innerWidth];
const done = document.createElement("pre");
done.id = "said";
done.textContent = JSON.stringify(said);
document.body.append(done);
</script>
"""

ON_TWO_TASKS = """
<script>
const articles = [...document.querySelectorAll("article")];
[...articles[1].querySelectorAll("thead button")].find((one) => one.textContent === "PSNR-Y, dB").click();
const split = articles[1].querySelector(".split");
split.value = 20;
split.dispatchEvent(new Event("input"));
const found = (of) => articles.map(of);
const said = {
  rows: found((one) => [...one.querySelectorAll(".ours tr:not(.hidden) th")].map((cell) => cell.textContent.trim())),
  cuts: found((one) => getComputedStyle(one.querySelector("img.left")).clipPath),
  versions: found((one) => [...one.querySelectorAll(".canvas > img")].map((image) => image.alt).reverse()),
};
const done = document.createElement("pre");
done.id = "said";
done.textContent = JSON.stringify(said);
document.body.append(done);
</script>
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The findings of a visit to a page of three experiments."""
    folder = tmp_path_factory.mktemp("page")
    experiments = [pages.shown("b", 29.8, 1000), pages.shown("c", 30.4, 3000), pages.shown("a", 30.1, 20_000)]
    text = pages.html(*experiments, pictures=2).replace("</body>", f"{ACTIONS}</body>")
    (folder / "page.html").write_text(text)
    return visit(folder / "page.html")


def visit(path: Path) -> dict[str, object]:
    assert BROWSER is not None
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        f"--user-data-dir={path.parent / 'profile'}",
    ]
    command = [BROWSER, *quiet, "--window-size=1280,900", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r'<pre id="said">(.*?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    content: dict[str, object] = json.loads(found.group(1))
    return content


@needs_browser
def test_a_heading_sorts_the_rows(said: dict[str, object]) -> None:
    assert said["first"] == ["b", "c", "a"]
    assert said["bestFirst"] == ["c", "a", "b"] and said["heading"] == "descending"
    assert said["publishedToo"] == ["ShiftLUT-L", "SPF-LUT"]
    assert said["worstFirst"] == ["b", "a", "c"]
    assert said["byName"] == ["a", "b", "c"]
    assert said["largestFirst"] == ["a", "c", "b"]


@needs_browser
def test_rows_of_networks_and_unfinished_tables_are_shown_when_asked_for(said: dict[str, object]) -> None:
    assert said["everyKind"] == 9


@needs_browser
def test_the_divider_follows_keys_and_pointer(said: dict[str, object]) -> None:
    assert said["cut"] == ["inset(0px 50% 0px 0px)", "inset(0px 80% 0px 0px)", "inset(0px 25% 0px 0px)"]
    assert said["value"] == "75 % bicubic"


@needs_browser
def test_versions_and_images_are_chosen(said: dict[str, object]) -> None:
    assert said["labels"] == ["LR", "bicubic", "b", "c", "a", "HR"]
    assert said["versions"] == ["bicubic", "c"]
    assert said["after"] == "HR" and said["pressed"] == ["false", "true"]


@needs_browser
def test_tasks_on_one_page_are_used_apart(tmp_path: Path) -> None:
    sections = [
        pages.section(pages.shown("a", 29.8, 1000), pages.shown("b", 30.4, 3000)),
        replace(pages.section(pages.shown("c", 29.8, 1000), pages.shown("d", 30.4, 3000), pictures=2), task="other"),
    ]
    text = page.html(sections, pages.MADE)
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{ON_TWO_TASKS}</body>"))
    found = visit(tmp_path / "page.html")
    assert found["rows"] == [["a", "b"], ["d", "c"]]
    assert found["cuts"] == ["inset(0px 50% 0px 0px)", "inset(0px 80% 0px 0px)"]
    assert found["versions"] == [["bicubic", "b"], ["bicubic", "d"]]


@needs_browser
def test_the_page_does_not_scroll_sideways(said: dict[str, object]) -> None:
    assert said["widths"] == [True]
