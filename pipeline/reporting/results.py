"""The result of an experiment: the scores and facts that evaluate writes to metrics.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lutra.imaging.metrics import CEILING

SetScores = Mapping[str, Mapping[str, float]]
"""Means over the images of each set: {set: {measure: value}}."""

KINDS = ("finetuned", "exported", "network")
"""The kinds of results that are scored, besides the baseline; the first one ships, the last one may be missing."""


@dataclass(frozen=True)
class Result:
    """The scores of one experiment, with what a reader needs to compare them.

    scores: by kind: the protocol's baseline first, then those of `KINDS` that were scored.
    family: of the model. task, options: that it restores. measures: the protocol's; the first one ranks.
    table_bytes: of the finetuned tables. protocol: in words.
    """

    scores: Mapping[str, SetScores]
    family: str
    task: str
    options: Mapping[str, Any]
    measures: tuple[str, ...]
    table_bytes: int
    protocol: str

    @property
    def baseline(self) -> SetScores:
        """The scores of the baseline, which a restoration has to beat."""
        return next(iter(self.scores.values()))

    @property
    def final(self) -> SetScores:
        """The scores of the finetuned tables."""
        return self.scores[KINDS[0]]

    def final_first(self) -> list[tuple[str, SetScores]]:
        """Return the scores by kind, those of the finetuned tables first."""
        return sorted(self.scores.items(), key=lambda one: one[0] != KINDS[0])

    @property
    def table_kib(self) -> float:
        """The size of the finetuned tables in KiB."""
        return self.table_bytes / 1024

    def to_json(self) -> dict[str, Any]:
        """Return the content of metrics.json."""
        facts = {
            "family": self.family,
            "task": self.task,
            "options": dict(self.options),
            "measures": list(self.measures),
            "table_bytes": self.table_bytes,
            "protocol": self.protocol,
        }
        return {**self.scores, **facts}

    @classmethod
    def from_json(cls, content: Any) -> Result:
        """Rebuild a result; ValueError if the content is not what `to_json` returns."""
        facts = ("family", "task", "options", "measures", "table_bytes", "protocol")
        if not isinstance(content, dict):
            raise ValueError(f"found a {type(content).__name__}, expected the scores that evaluate writes")
        if missing := [name for name in (*facts, KINDS[0]) if name not in content]:
            raise ValueError(f"found no {missing[0]!r}, expected the scores that evaluate writes")
        scores = {kind: value for kind, value in content.items() if kind not in facts}
        return cls(scores, **{name: content[name] for name in facts} | {"measures": tuple(content["measures"])})

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read metrics.json; infinite scores, which older versions gave equal images, become the highest score.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: it is damaged; names the file.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path}: not found; run `python -m pipeline evaluate` with this root first")
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            content = json.loads(text, parse_constant=lambda name: CEILING if name == "Infinity" else float(name))
        except ValueError:
            raise ValueError(
                f"{path}: damaged, expected the JSON that evaluate writes; run it with this root again"
            ) from None
        try:
            return cls.from_json(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
