"""The report's page: what is on it, and that it needs nothing else."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lutra.evaluation import protocols
from pipeline import PROJECT
from pipeline.reporting import page, papers
from pipeline.reporting import rows as scores
from pipeline.reporting.charts import Mark
from pipeline.reporting.pictures import pictures
from pipeline.reporting.speed import Speed
from tests.unit.pipeline import pages

ALPHA, BETA = pages.shown("alpha", 29.8, 1336336), pages.shown("beta", 30.4, 426768)


class Tags(HTMLParser):
    """All tags with their attributes, and the texts of the rows of the table of scores."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        if self.rows and data.strip():
            self.rows[-1].append(data.strip())


def test_the_page_loads_nothing() -> None:
    text = pages.html(ALPHA, BETA)
    tags = Tags(text).tags
    assert not [tag for tag, _ in tags if tag in ("link", "iframe", "object", "embed", "base", "form")]
    for tag, attributes in tags:
        source = attributes.get("src") or attributes.get("srcset") or ""
        assert tag == "img" or "src" not in attributes
        assert source == "" or source.startswith("data:image/")
        assert tag == "a" or (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|import\(", text)
    assert set(re.findall(r"https?://[^\"' <]+", text)) == {"https://arxiv.org/abs/2503.01565"}


def test_the_page_names_no_place_of_this_machine() -> None:
    text = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", pages.html(ALPHA, BETA))
    home = str(Path.home())
    assert str(PROJECT) not in text and "/tmp/" not in text and (home == "/" or f"{home}/" not in text)


def test_the_page_is_the_same_every_time() -> None:
    assert pages.html(ALPHA, BETA) == pages.html(ALPHA, BETA)


def test_several_tasks_stand_below_each_other() -> None:
    noise = pages.section(BETA, pictures=2)
    text = page.html([pages.section(ALPHA), replace(noise, task="noise")], pages.MADE)
    tags = Tags(text).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [
        attributes["href"] for tag, attributes in tags if tag == "a" and (attributes["href"] or "").startswith("#")
    ]
    assert links == ["#x4", "#noise"] and {"x4", "noise"} <= set(ids)
    assert {attributes["aria-labelledby"] for tag, attributes in tags if tag == "section"} <= set(ids)


def test_every_experiment_has_a_row_of_every_kind() -> None:
    rows = Tags(pages.html(ALPHA, BETA)).rows
    assert ["alpha", "srlut", "finetuned", "1,305", "1.0", "29.80", "0.7450"] in rows
    assert ["beta", "srlut", "finetuned", "417", "2.0", "30.40", "0.7600"] in rows
    assert ["beta", "srlut", "exported", "417", "30.30", "0.7575"] in rows
    assert ["beta", "srlut", "network", "30.40", "0.7600"] in rows
    assert ["bicubic", "28.43", "0.7107"] in rows


def test_the_best_figures_are_marked() -> None:
    speed = Speed({"alpha": 1.0, "beta": 2.0}, "")
    marks = {"alpha": Mark.of(0), "beta": Mark.of(1)}
    rows = scores.TaskTable(pages.SUPER_RESOLUTION, [ALPHA, BETA], ["Set5"], speed).rows(marks)
    assert {row.name for row in rows for cell in row.cells if cell.best} == {"beta"}
    assert [row.minor for row in rows] == [False, True, True] * 2


def test_the_figures_above_the_table_are_the_best() -> None:
    speed = Speed({"alpha": 1.0, "beta": 2.0}, "")
    tiles = scores.TaskTable(pages.SUPER_RESOLUTION, [ALPHA, BETA], ["Set5"], speed).tiles()
    assert [(figure, name) for _, figure, name in tiles] == [
        ("30.40 dB", "beta"),
        ("+1.97 dB", "beta"),
        ("417 KiB", "beta"),
        ("1.0 ms", "alpha"),
    ]


def test_published_systems_stand_on_their_sets_alone() -> None:
    on_set5 = pages.html(ALPHA)
    assert "SPF-LUT + DFC" in on_set5 and "measured by this protocol" not in on_set5
    elsewhere = pages.html(pages.shown("alpha", 29.8, 1000, ("samples",)))
    assert "SPF-LUT" not in elsewhere and "No published system was measured by this protocol on these sets" in elsewhere


def test_names_are_escaped() -> None:
    text = pages.html(pages.shown("<b>&'\"</b>", 29.8, 1000), pages.shown("</script><i>", 30, 1000))
    assert "<b>" not in text and "<i>" not in text
    assert text.count("</script>") == 2
    assert "&lt;b&gt;&amp;" in text


def test_a_page_does_without_pictures_and_comparisons() -> None:
    text = pages.html(pages.shown("alone", 29.8, 1000, ("samples",)), pictures=0)
    assert 'class="split"' not in text and "Quality and cost" not in text
    assert "Finetuning of the tables" in text


@pytest.mark.parametrize(
    ("task", "options", "heading"),
    [
        ("sr", {"scale": 2}, "Super-resolution x2"),
        ("denoise", {"sigma": 25}, "Denoising, sigma 25"),
        ("deblur", {"length": [5, 15], "sigma": 1}, "Deblurring, length 5 to 15, sigma 1"),
    ],
)
def test_the_heading_says_what_is_restored(task: str, options: dict[str, object], heading: str) -> None:
    assert scores.heading(protocols.of(task, options), options) == heading


def test_curves_are_read_by_stage(tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    file.write_text("stage,step,loss,val_psnr\ntrain,0,,20.5\nfinetune,0,,21\nfinetune,1,0.1,\nfinetune,2,0.1,22\n")
    assert page.read_curves(file) == {"train": [(0, 20.5)], "finetune": [(0, 21), (2, 22)]}


def test_published_figures_need_the_same_protocol() -> None:
    def systems(task: str, options: dict[str, object], *, pairs: bool = False) -> int:
        return len(papers.comparable(protocols.of(task, options, pairs=pairs), ["Set5", "samples"]).systems)

    assert systems("sr", {"scale": 4}) == 12
    assert systems("sr", {"scale": 2}) == systems("sr", {"scale": 4, "bicubic": "double"}) == 0
    assert systems("sr", {"scale": 4}, pairs=True) == systems("denoise", {"sigma": 25}) == 0


def test_published_figures_are_those_of_the_paper() -> None:
    found = {one.name: one for one in papers.comparable(pages.SUPER_RESOLUTION, ["samples", "Urban100"]).systems}
    assert "SR-LUT-S" not in found  # of which no figure is known there
    assert found["SPF-LUT + DFC"].scores == {"Urban100": {"psnr_y": 24.81, "ssim_y": 0.7357}}
    assert found["MuLUT + DFC"].table_bytes == pytest.approx(426768, rel=1e-3)  # 0.407 MB, three digits


def test_the_page_stays_small(tmp_path: Path) -> None:
    pages.packed(tmp_path / "b", *[pages.noise(number) for number in range(5)])
    pages.packed(tmp_path / "Set5", *[pages.noise(number) for number in range(2)])
    every = pictures(tmp_path, pages.models("alpha"), pages.SUPER_RESOLUTION)
    assert [(one.data, one.name) for one in every] == [("Set5", "0"), ("Set5", "1"), ("b", "0"), ("b", "1"), ("b", "2")]
    two = pictures(tmp_path, pages.models("alpha"), pages.SUPER_RESOLUTION, budget=int(2.5 * every[0].characters))
    assert [(one.data, one.name) for one in two] == [("Set5", "0"), ("b", "0")]
    assert len(pictures(tmp_path, pages.models("alpha"), pages.SUPER_RESOLUTION, budget=1)) == 1
