"""What is recorded of the models that come with the library: cards, scores and commands belong together."""

import json

import pytest

from lutra import zoo
from lutra.model import artifact
from pipeline import params
from pipeline.reporting import record

RECIPES = record.RESULTS / "recipes.yaml"


@pytest.mark.parametrize("name", zoo.models())
def test_cards_and_scores_are_those_of_the_recorded_results(name: str) -> None:
    path, content = zoo.models()[name], json.loads((record.RESULTS / f"{name}.json").read_text())
    model, recorded = artifact.load(path), record.Record.from_json(content)
    assert path.with_suffix(".md").read_text() == record.card(name, recorded, model, model.provenance["licence"])
    assert model.metrics == {"finetuned": recorded.result.final}
    assert recorded.to_json() == content


def test_recorded_commands_name_the_recipe() -> None:
    recipes = params.load(RECIPES)
    for name in recipes.experiments:
        recorded = json.loads((record.RESULTS / f"{name}.json").read_text())
        assert f"--experiment {name} --params results/recipes.yaml" in recorded["command"]
