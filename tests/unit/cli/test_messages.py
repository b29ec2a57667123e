"""Help, errors and what else the commands show."""

from dataclasses import replace
from pathlib import Path

from lutra.model import artifact
from lutra.model.families import FAMILIES
from lutra.model.tasks import options
from tests.golden import cases
from tests.unit.cli.calls import lutra, run


def test_models_lists_the_zoo(model: Path) -> None:
    from lutra import zoo

    listed = lutra("models")
    assert all(word in listed for word in ("name", "task", "scale", "bytes", "Set5", "licence", *zoo.models()))
    column = listed.splitlines()[1].split("┃").index(" ms/MP ")
    speeds = [line.split("│")[column] for line in listed.splitlines() if line.startswith("│")]
    assert len(speeds) == len(zoo.models()) and all(float(speed) > 0 for speed in speeds)
    assert zoo.facts(model)[:3] == ("sr", "2", str(model.stat().st_size))


def test_mistakes_get_one_line(model: Path, tmp_path: Path) -> None:
    missing = lutra("restore", "-m", model, "-i", tmp_path / "none.png", "-o", tmp_path / "o.png", code=2)
    assert "none.png" in missing
    (tmp_path / "bad.safetensors").write_text("bad")
    assert "bad.safetensors: not a safetensors file" in lutra("info", tmp_path / "bad.safetensors", code=2)
    unknown = lutra("import", tmp_path / "x.npy", "--family", "lutnet", "--scale", 4, "-o", tmp_path / "m", code=2)
    assert "x.npy" in unknown or "lutnet" in unknown


def test_help_states_the_options_of_every_task_and_defaults_in_brackets() -> None:
    for command, default in (("evaluate", "[default: the model's]"), ("import", "[default: 5 to 10]")):
        shown = " ".join(lutra(command, "--help", COLUMNS="200").replace("│", " ").split())
        for name, tasks in options().items():
            meaning = f"{', '.join(tasks)}: {next(iter(tasks.values())).meaning}"
            assert name == "scale" or (f"--{name} " in shown and meaning in shown)
        assert default in shown
    assert "[default: 268435456]" in " ".join(lutra("restore", "--help", COLUMNS="200").replace("│", " ").split())


def test_help_of_import_names_every_family() -> None:
    shown = " ".join(lutra("import", "--help", COLUMNS="200").replace("│", " ").split())
    assert f"{', '.join(list(FAMILIES)[:-1])} or {list(FAMILIES)[-1]}" in shown


def test_help_needs_neither_torch_nor_numpy() -> None:
    before = "sys.modules.update(torch=None, numpy=None, PIL=None)"
    assert run("--help", before=before).returncode == run("evaluate", "--help", before=before).returncode == 0


def test_wrong_usage_gets_one_line() -> None:
    assert "'--threads'" in lutra("restore", "--threads", 0, code=2)
    assert "No such command 'nothing'" in lutra("nothing", code=2)
    assert "'-i'" in lutra("restore", "-m", "model", code=2)


def test_info_tells_units_that_read_several_colours(tmp_path: Path) -> None:
    artifact.save(tmp_path / "colours.safetensors", cases.model("dnlut-x1"))
    shown = lutra("info", tmp_path / "colours.safetensors")
    assert "4 of colours" in shown and "3 of colours" in shown and "channel" not in shown


def test_info_says_what_a_model_was_trained_for(denoiser: Path) -> None:
    shown = lutra("info", denoiser)
    assert "task denoise sigma 25" in shown and "receptive field: 21x21 pixels" in shown


def test_text_of_a_model_reaches_the_terminal_as_escapes(tmp_path: Path) -> None:
    path, text = tmp_path / "m.safetensors", "\x1b]0;pwned\x07\x1b[2J\u202e [/nope] [bold]x[/bold]"
    own = cases.model("srlut-x2-8bit")
    artifact.save(path, replace(own, description=replace(own.description, family=text, options={text: text})))
    shown = lutra("info", path)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert r"\x1b]0;pwned\x07\x1b[2J\u202e [/nope] [bold]x[/bold] x2" in shown
