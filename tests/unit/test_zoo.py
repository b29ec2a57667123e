"""The models that come with the library score what their cards say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lutra import artifact, evaluation, protocols, zoo
from lutra.imaging.folders import find_images
from lutra.restoring import Restorer


def test_every_model_has_a_card_and_scores() -> None:
    for name, path in zoo.models().items():
        assert path.with_suffix(".md").read_text().startswith(f"# {name}\n")
        assert all(zoo.facts(path))


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("srlut-x4", "Set5"),
        ("mulut-dfc-x4", "Set5"),
        ("spf-light-dfc-x4", "Set5"),
        ("spf-light-denoise25", "Set12"),
        ("spf-light-deblock10", "classic5"),
        ("spf-light-deblur", "Set5"),
    ],
)
def test_a_models_scores_are_its_own(dataset: Callable[[str], Path], name: str, data: str) -> None:
    folder = dataset(data)
    model = artifact.load(zoo.models()[name])
    protocol = evaluation.protocol_of(model)
    found = evaluation.evaluate(Restorer(model).restore, find_images(folder, protocol.scale), protocol)
    means = protocols.mean({one.name: one.scores for one in found})
    assert means == pytest.approx(model.metrics["finetuned"][data], abs=1e-6)
