"""Models that an evaluation has logged."""

from pathlib import Path

import lutra
from pipeline import tracking
from pipeline.params import TrackingParams

NAME = "lutra-sr-x4"


MODEL = Path(lutra.__file__).parent / "zoo" / "srlut-x4.safetensors"


def evaluate(uri: str, model: Path, score: float, table_bytes: int = 100, scored: str = "samples/psnr_y") -> None:
    """Return what the stage logs of a model with that score."""
    tags = {"score": f"{score:.6f}", "scored": scored, "table_bytes": str(table_bytes), "family": "srlut"}
    settings = TrackingParams(uri=uri)
    with tracking.stage_run(
        settings, stage="evaluate", experiment=model.stem, root=Path("runs/dvc"), params={"family": "srlut"}
    ) as run:
        run.model(model, NAME, tags, {"samples/psnr_y_finetuned": score, "table_bytes": table_bytes})
