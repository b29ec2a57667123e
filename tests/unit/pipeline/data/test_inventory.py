"""The list of image sets: what is here, what is missing, what is broken."""

from pathlib import Path

from PIL import Image
from rich.console import Console

from pipeline.data.inventory import Listed, count, listing, listing_table


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 40), 50).save(root / name)


def test_the_list(tmp_path: Path) -> None:
    put(tmp_path, *(f"Set5/{number}.png" for number in range(5)), "Set14/a.png", ".downloads/x.png")
    put(tmp_path, "mine/a.png", "mine/b.png", "GoPro-test/input/1.png", "GoPro-test/target/1.png")
    put(tmp_path, "GoPro-test/target/2.png")
    (tmp_path / "empty").mkdir()
    content = bytearray((tmp_path / "mine/a.png").read_bytes())
    (tmp_path / "mine/b.png").write_bytes(content[: len(content) // 2])
    rows = {row.name: row for row in listing(tmp_path)}
    assert (rows["photos"].kind, rows["photos"].images, rows["photos"].expected) == ("packaged", 45, 45)
    assert (rows["Set5"].images, rows["Set5"].expected, rows["Set5"].problems) == (5, 5, ())
    assert rows["Set5"].bytes == sum(path.stat().st_size for path in (tmp_path / "Set5").iterdir())
    assert (rows["Set14"].images, rows["Set14"].expected) == (1, 14)
    assert rows["DIV2K"] == Listed("DIV2K", "downloaded", 0, 800, 0, rows["DIV2K"].licence)
    assert rows["GoPro-test"].images == 1
    assert "found target/2.png without its pair" in rows["GoPro-test"].problems[0]
    assert (rows["mine"].kind, rows["mine"].images, rows["mine"].expected) == ("folder", 2, None)
    assert len(rows["mine"].problems) == 1 and "mine/b.png: found a damaged" in rows["mine"].problems[0]
    assert "found no image" in rows["empty"].problems[0]
    assert list(rows)[-3:] == ["deadleaves", "empty", "mine"] and ".downloads" not in rows


def test_wrong_checksums_inside_an_image(tmp_path: Path) -> None:
    put(tmp_path, "mine/a.png")
    content = bytearray((tmp_path / "mine/a.png").read_bytes())
    content[-20] ^= 0xFF  # of the pixels' checksum, or of the last of them
    (tmp_path / "mine/a.png").write_bytes(content)
    assert len(listing(tmp_path)[-1].problems) == 1
    assert listing(tmp_path, decode=False)[-1].problems == ()


def test_the_table(tmp_path: Path) -> None:
    put(tmp_path, "Set5/a.png", "mine/a.png")
    (tmp_path / "mine/b.png").write_bytes(b"")
    console = Console(width=200, file=(tmp_path / "out").open("w+"))
    console.print(listing_table(listing(tmp_path)))
    console.file.seek(0)
    lines = {line.split()[0]: " ".join(line.split()) for line in console.file.read().splitlines() if line.strip()}
    console.file.close()
    assert "1 of 5" in lines["Set5"] and "a part" in lines["Set5"]
    assert "0 of 800 not here" in lines["DIV2K"] and "1 problem" in lines["mine"] and "computed" in lines["deadleaves"]


def test_no_folder(tmp_path: Path) -> None:
    assert count(tmp_path / "nowhere") == 0
    assert listing(tmp_path / "nowhere")[-1].name == "deadleaves"
