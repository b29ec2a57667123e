"""The catalogue of image sets: what it holds, and how a mistake in it is said."""

from pathlib import Path

import pytest

from pipeline.data.catalogue import Downloaded, Packaged, Synthetic, catalogue

SET = "Set5: {title: T, home: 'https://a.example/', licence: L, use: U, count: 5, "


def test_the_sets() -> None:
    sets = catalogue()
    kinds = {name: type(entry) for name, entry in sets.items()}
    assert kinds["photos"] is kinds["samples"] is Packaged and kinds["deadleaves"] is Synthetic
    counts = {name: entry.count for name, entry in sets.items() if isinstance(entry, Downloaded)}
    assert counts == {
        "DIV2K": 800,
        "DIV2K-valid": 100,
        "Flickr2K": 2650,
        "BSDS500": 500,
        "bsds400": 400,
        "Set5": 5,
        "Set14": 14,
        "B100": 100,
        "Urban100": 100,
        "Manga109": 109,
        "Set12": 12,
        "BSD68": 68,
        "CBSD68": 68,
        "classic5": 5,
        "LIVE1": 29,
        "GoPro-train": 2103,
        "GoPro-test": 1111,
        "budgie": 16,
        "lomiri": 14,
        "mate": 12,
        "plasma": 10,
        "palapeli": 3,
    }


def test_downloads_have_known_checksums_or_say_why_not() -> None:
    sets = [entry for entry in catalogue().values() if isinstance(entry, Downloaded)]
    without = {source.url for entry in sets for source in entry.downloads if source.checksum is None}
    branches = {f"https://github.com/cszn/{name}/archive/refs/heads/master.zip" for name in ("DnCNN", "FFDNet")}
    assert without == branches, "a branch has no lasting one"
    assert all(entry.downloads or "copy" in entry.note or "give" in entry.note for entry in sets)
    assert sets[0].downloads[0].checksum is not None and sets[0].downloads[0].checksum.startswith("sha256:9d0b9c46")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SET + "downloads: [{url: 'https://a.example/x.zip', sha256: 12}]}", r"Set5\.downloads\.0\.sha256: "),
        (SET + "downloads: [{url: 'ftp://a.example/x.zip'}]}", r"Set5\.downloads\.0\.url: "),
        (SET + "note: N, licenses: x}", r"Set5\.licenses: Extra inputs"),
        (SET + "note: N, pairs: maybe}", r"Set5\.pairs: "),
        (SET + "}", "Set5: note: found none, expected one that says how"),
        (
            "x: {package: p, title: T, home: 'https://a', licence: L, folder: f, files: [{name: n}]}",
            r"files\.0\.sha256",
        ),
        ("x: {kind: other}", "x: "),
        ("[]", "valid dictionary"),
        ("a: 1\na: 2", "line 2: found duplicate key"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        catalogue(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
