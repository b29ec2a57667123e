"""The records of the models that come with the library: cards, scores and commands belong together."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lutra import zoo
from lutra.model import artifact
from pipeline import PROJECT, params
from pipeline.reporting import cards, record
from pipeline.running.job import Job

RECIPES = record.RESULTS / "recipes.yaml"


@pytest.mark.parametrize("name", zoo.models())
def test_cards_and_scores_are_those_of_the_recorded_results(name: str) -> None:
    path, content = zoo.models()[name], json.loads((record.RESULTS / f"{name}.json").read_text())
    model, recorded = artifact.load(path), record.Recorded.from_json(content)
    assert path.with_suffix(".md").read_text() == cards.card(name, recorded, model)
    assert model.metrics == {"finetuned": recorded.result.final}
    assert recorded.to_json() == content


RECORDED = record.Recorded.from_json(json.loads((record.RESULTS / "spf-light-deblock10.json").read_text()))


def carded(**changes: Any) -> tuple[str, record.Recorded]:
    recorded = replace(RECORDED, **changes)
    return cards.card("spf-light-deblock10", recorded, artifact.load(zoo.models()["spf-light-deblock10"])), recorded


def test_a_card_tells_whether_the_model_may_be_shipped() -> None:
    text, _ = carded()
    assert "- Images: bsds400: for non-commercial research and education.\n" in text
    assert "- May I ship it? No: bsds400 may not be used for every purpose.\n" in text
    free, recorded = carded(trained_on="budgie + deadleaves", colours="photos")
    assert recorded.images == ["budgie", "deadleaves", "photos"]
    assert "budgie: CC0" in free and "photos: MIT" in free and "- May I ship it? Yes, for any purpose.\n" in free
    assert "No: bsds400 may" in carded(trained_on="budgie + deadleaves", colours="bsds400")[0]
    unknown, _ = carded(trained_on="budgie + mine")
    assert "mine: not known here" in unknown and "No: mine may not" in unknown
    for line in (
        "- Trained in 540 seconds on ",
        "- Licence of the tables: MIT",
        "- Recipe: `python -m pipeline ",
        "\nProtocol: ",
    ):
        assert line in text


def test_the_model_that_training_started_from_counts_among_the_images(tmp_path: Path) -> None:
    start = {"model": "dn-25", "licence": "photos: MIT", "use": "free"}
    text, recorded = carded(trained_on="budgie", start=start)
    assert record.Recorded.from_json(recorded.to_json()) == recorded
    assert "- Images: budgie: CC0 (Debian package budgie-backgrounds)" in text
    assert "; behind dn-25, which it starts from: photos: MIT.\n" in text
    assert "- Trained in 540 seconds, from `dn-25` on, on " in text
    known = carded(trained_on="budgie", start=start | {"licence": "budgie: CC0 (Debian package budgie-backgrounds)"})
    assert "- Images: budgie: CC0 (Debian package budgie-backgrounds).\n" in known[0]
    assert "- May I ship it? Yes" in text
    text, recorded = carded(trained_on="budgie", start=start | {"use": "research"})
    assert "- May I ship it? No: dn-25 may not be used for every purpose.\n" in text
    (tmp_path / "r.json").write_text(json.dumps(recorded.to_json()))
    path = cards.ship("mine", tmp_path / "r.json", zoo.models()["spf-light-deblock10"], tmp_path / "zoo")
    assert artifact.load(path).provenance["use"] == "research"


def test_what_dead_leaves_take_their_colours_from_is_kept(tmp_path: Path) -> None:
    recorded = carded(trained_on="budgie + deadleaves", colours="photos")[1]
    assert record.Recorded.from_json(recorded.to_json()) == recorded
    assert "colours" not in RECORDED.to_json()["data"]
    (tmp_path / "r.json").write_text(json.dumps(recorded.to_json()))
    for sets, use in (("budgie", "free"), ("bsds400", "research")):
        (tmp_path / "r.json").write_text(json.dumps(replace(recorded, trained_on=sets).to_json()))
        path = cards.ship("mine", tmp_path / "r.json", zoo.models()["spf-light-deblock10"], tmp_path / "zoo")
        assert artifact.load(path).provenance["use"] == zoo.facts(path)[-1] == use
        assert path.with_suffix(".md").read_text().startswith("# mine\n")


def test_time_and_command_of_a_run_of_snakemake_are_found(tmp_path: Path) -> None:
    job = Job.of("evaluate", params.load(RECIPES), tmp_path, experiment="spf-light-deblock10")
    with pytest.raises(FileNotFoundError, match=r"10\.tsv: not found, expected Snakemake's benchmark"):
        record.minutes_of(job)
    for stage, seconds in (("train", "30.4"), ("finetune", "89.6")):
        path = tmp_path / "benchmarks" / stage / "spf-light-deblock10.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:01:00\n")
    assert record.minutes_of(job) == 2.0
    job = Job.of("evaluate", params.load(RECIPES), Path("runs/recipes"), experiment="spf-light-deblock10")
    assert record.command_of(job, Path("results/recipes.yaml")) == RECORDED.command


def test_make_states_how_long_the_recipes_take() -> None:
    paths = (record.RESULTS / f"{name}.json" for name in params.load(RECIPES).experiments)
    minutes = sum(json.loads(path.read_text())["training_minutes"] for path in paths if path.is_file())
    for path in ("Makefile", "README.md", "results/recipes.yaml"):
        stated = re.search(r"about (\d+) hours on two cores", (PROJECT / path).read_text())
        assert stated and abs(int(stated[1]) - minutes / 60) < 1


def test_recorded_commands_name_the_recipe() -> None:
    recipes = params.load(RECIPES)
    for name in recipes.experiments:
        recorded = json.loads((record.RESULTS / f"{name}.json").read_text())
        assert f"--experiment {name} --params results/recipes.yaml" in recorded["command"]


def test_a_card_tells_that_a_model_restores_to_any_size() -> None:
    line = "- Restores to any size, and through a homography; scored at x4.\n"
    assert line in zoo.models()["any-scale"].with_suffix(".md").read_text()
    assert "any size" not in carded()[0]
