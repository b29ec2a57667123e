"""The needs of stages are stated, refused where they cannot fit, and near what was measured."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from lutra.evaluation import protocols
from lutra.imaging.images import write_image
from lutra.model import families
from pipeline import params
from pipeline.data.leaves import drawn
from pipeline.params import Params
from pipeline.running import footprint, machine, needs
from tests.golden.cases import image

MIB = 1 << 20
DFC = {"width": 2, "interval": 5, "dimensions": "xyzt"}
MULUT = {"patterns": "sdy", "stages": 2}
SPF = {"base": "spflut", "branches": 1, "kernel": 3}
SMALL, DIV2K = (3, 64, 64), (3, 339, 510)


def settings(stage: str, family: str, model: object, width: int, dfc: object, fit: Mapping[str, object]) -> Params:
    block = {"family": family, "task": "x4", "model": model, "network": {"width": width}, "table": {"dfc": dfc}}
    sections: dict[str, object] = {"train": {}, "finetune": {}, "evaluate": {}} | {stage: fit}
    tasks = {"x4": {"task": "sr", "scale": 4}}
    data = {"train": "photos", "evaluate": ["samples"], "validate": 1}
    return Params.model_validate({"data": data, "tasks": tasks, "experiments": {"a": block | sections}})


def prepared(folder: Path, train: list[tuple[int, ...]], validate: tuple[int, ...]) -> Path:
    for name, shapes in (("train", train), ("validate", [validate])):
        (folder / name).mkdir(parents=True)
        images = [{"name": str(number), "input_shape": shape} for number, shape in enumerate(shapes)]
        (folder / name / "index.json").write_text(json.dumps({"scale": 4, "images": images}))
    return folder


# Peaks of resident memory that docs/needs.md reports, in MiB, of patches of 48x48 on one thread
@pytest.mark.parametrize(
    ("stage", "family", "model", "width", "dfc", "fit", "validate", "measured"),
    [
        ("train", "srlut", {}, 64, None, {"method": "network", "batch": 16}, SMALL, 606),
        ("train", "mulut", MULUT, 32, None, {"method": "network", "batch": 4}, SMALL, 985),
        ("train", "mulut", MULUT, 32, None, {"method": "network", "batch": 8}, SMALL, 1532),
        ("train", "spflut", {"patterns": "s"}, 32, DFC, {"method": "network", "batch": 4}, SMALL, 1324),
        ("train", "srlut", {}, 64, None, {"method": "network", "batch": 1, "steps": 0}, DIV2K, 592),
        ("train", "srlut", {}, 64, None, {"batch": 16, "steps": 2}, SMALL, 789),
        ("train", "mulut", MULUT, 32, DFC, {"batch": 16, "steps": 2}, SMALL, 484),
        ("finetune", "srlut", {}, 8, None, {"batch": 16}, SMALL, 382),
        ("finetune", "srlut", {}, 8, None, {"batch": 256}, SMALL, 567),
        ("finetune", "mulut", MULUT, 8, None, {"batch": 16}, SMALL, 563),
        ("finetune", "mulut", MULUT, 8, DFC, {"batch": 64}, SMALL, 421),
        ("finetune", "autolut", SPF, 8, DFC, {"batch": 16}, SMALL, 398),
        ("finetune", "mulut", MULUT, 8, DFC, {"batch": 4, "steps": 0}, DIV2K, 435),
    ],
)
def test_estimates_are_near_what_was_measured(
    tmp_path: Path,
    stage: str,
    family: str,
    model: object,
    width: int,
    dfc: object,
    fit: dict[str, object],
    validate: tuple[int, ...],
    measured: int,
) -> None:
    block = settings(stage, family, model, width, dfc, {"steps": 2} | fit | {"patch": 48}).experiment("a")
    data = prepared(tmp_path, [SMALL], validate)
    found = footprint.of_training(block, getattr(block, stage), data, protocols.super_resolution(4))
    # An estimate that is too small lets a run begin that may fail, one that is too large refuses one that would not.
    assert 0.6 * measured <= (needs.TORCH + found.peak) / MIB <= 1.3 * measured


def test_the_quick_comparison_fits_anywhere(tmp_path: Path) -> None:
    quick = params.load(Path("params.yaml"))
    data = prepared(tmp_path, [(3, 300, 300)] * 40, (3, 300, 300))
    for name, block in quick.experiments.items():
        for part in (block.train, block.finetune):
            protocol = quick.task_of(name).protocol()
            found = footprint.of_training(block, part, data, protocol)
            assert needs.TORCH + found.peak < 2 << 30


def test_models_of_layers_need_memory_by_their_sums_patches_and_vectors(tmp_path: Path) -> None:
    data = prepared(tmp_path, [SMALL], SMALL)
    found = []
    for blocks, batch in ((1, 8), (1, 16), (8, 8)):
        fit = {"steps": 1, "batch": batch, "init": "interpolation"}
        block = settings("train", "shiftlut", {}, 8, None, fit).experiment("a")
        described = families.describe("shiftlut", 4, {"blocks": blocks})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(families, "describe", lambda *_, own=described: own)
            found.append(footprint.of_training(block, block.train, data, protocols.super_resolution(4)))
    assert found[1].step == 2 * found[0].step
    assert found[2].step > 4 * found[0].step and found[2].states > 4 * found[0].states > 0
    assert found[2].validation > found[0].validation > 0


def test_least_squares_needs_no_more_for_a_large_set_than_its_planes(tmp_path: Path) -> None:
    block = settings("train", "srlut", {}, 8, None, {"init": "least_squares"}).experiment("a")
    peaks = []
    for count in (10, 800):
        data = prepared(tmp_path / str(count), [DIV2K] * count, DIV2K)
        peaks.append(footprint.of_training(block, block.train, data, protocols.super_resolution(4)).peak)
    assert peaks[1] - peaks[0] == 790 * 3 * 339 * 510
    assert peaks[1] < 2 << 30


@pytest.mark.parametrize(
    ("fit", "advice"),
    [
        (
            {"method": "network", "batch": 512, "steps": 1},
            r"lower experiments\.a\.train\.batch \(512\) or .*patch \(48\), or raise .*accumulate \(1\)",
        ),
        ({"method": "table", "batch": 1, "steps": 1}, r"choose experiments\.a\.train\.method: network"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fit: dict[str, object],
    advice: str,
) -> None:
    loaded = settings("train", "mulut", MULUT, 64, None, fit)
    prepared(tmp_path / "prepare" / "x4", [SMALL], SMALL)
    monkeypatch.setattr(machine, "available_memory", lambda: 600 * MIB)
    monkeypatch.delenv(needs.ANYWAY, raising=False)
    needed = needs.of_stage("train", loaded, tmp_path, "x4", "a")
    assert needed is not None
    with pytest.raises(ValueError, match=r"^train a: memory: found 629\.1 MB available, expected about .*" + advice):
        needs.check(needed, "train a", tmp_path)
    said = capsys.readouterr().err
    assert said.startswith("train a: 1 steps of ") and said.count("\n") == 1
    monkeypatch.setenv(needs.ANYWAY, "1")
    needs.check(needed, "train a", tmp_path)
    assert "warning: memory: found" in capsys.readouterr().err


def test_accumulation_and_more_processes_need_less(tmp_path: Path) -> None:
    data = prepared(tmp_path, [SMALL], SMALL)
    steps = []
    for accumulate, processes in ((1, 1), (4, 1), (1, 4)):
        fit = {"method": "network", "steps": 1, "batch": 16, "accumulate": accumulate, "num_processes": processes}
        block = settings("train", "srlut", {}, 64, None, fit).experiment("a")
        steps.append(footprint.of_training(block, block.train, data, protocols.super_resolution(4)).step)
    assert steps[0] == 4 * steps[1] == 4 * steps[2]


def test_every_process_on_this_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(tmp_path / "prepare" / "x4", [SMALL], SMALL)

    def memory(processes: int) -> int:
        fit = {"steps": 1, "batch": 16, "num_processes": processes}
        needed = needs.of_stage("finetune", settings("finetune", "mulut", MULUT, 8, None, fit), tmp_path, "x4", "a")
        assert needed is not None
        return needed.memory

    assert memory(4) > memory(1) + 3 * needs.TORCH
    two, four = memory(2), memory(4)
    for name, value in {"NNODES": "2", "NODE_RANK": "0", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    assert two < memory(4) + needs.TORCH < four


def test_prepare_says_what_it_will_write_and_is_refused_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.running.job import Job
    from pipeline.stages import prepare

    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        write_image(folder / f"{number}.png", image(40 + number, 45))
    content = {"train": str(folder), "evaluate": [str(folder)], "validate": 1}
    tasks = {"x2": {"task": "sr", "scale": 2}, "jpeg": {"task": "deblock", "quality": 10}}
    loaded = Params.model_validate({"data": content, "tasks": tasks, "tracking": {"enabled": False}, "experiments": {}})
    needed = needs.of_prepare(loaded, "jpeg")
    out = prepare.run(Job.of("prepare", loaded, tmp_path, task="jpeg"))
    arrays = sum(path.stat().st_size - 128 for path in out.rglob("*.npy"))  # without the headers
    assert needed.disk == arrays
    assert needs.of_prepare(loaded, "x2").disk == 2 * sum(44 * side * 5 // 4 for side in (40, 40, 42, 42))
    monkeypatch.setattr(machine, "free_disk", lambda path: 100)
    with pytest.raises(ValueError, match=r"^prepare x2: .*: found 100 bytes free on its disk, expected about 18\.0 kB"):
        needs.check(needs.of_prepare(loaded, "x2"), "prepare x2", tmp_path)


def test_prepare_counts_the_images_that_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "images" / "a.png", image(40, 45))
    write_image(tmp_path / "images" / "b.png", image(40, 45))

    def needed(size: int, *mix: str) -> needs.Needs:
        leaves = {"images": 3, "size": size, "colours": str(tmp_path / "images")}
        folder = str(tmp_path / "images")
        data = {"train": folder, "evaluate": [folder], "validate": 1, "mix": mix, "deadleaves": leaves}
        content = {"data": data, "tasks": {"x2": {"task": "sr", "scale": 2}}, "experiments": {}}
        return needs.of_prepare(Params.model_validate(content), "x2")

    monkeypatch.setattr(drawn, "threads", lambda: 64)
    monkeypatch.setattr(drawn, "processors", lambda: 2)
    mixed, alone = needed(256, "deadleaves"), needed(256)
    packed = 3 * (256**2 + 128**2) * 3  # of three images: target and input
    assert mixed.disk == alone.disk + packed + 3 * 256**2 * 3
    assert "OMP_NUM_THREADS to less than 2" in mixed.smaller and "OMP" not in alone.smaller
    assert needed(1024, "deadleaves").memory - mixed.memory > 2 * 100 * 4 * (1024**2 - 256**2)


def test_a_missing_input_is_left_to_the_stage(tmp_path: Path) -> None:
    loaded = settings("train", "srlut", {}, 8, None, {})
    for stage in ("train", "export", "finetune", "evaluate"):
        assert needs.of_stage(stage, loaded, tmp_path, "x4", "a") is None
    assert needs.of_stage("report", loaded, tmp_path, "x4", None) is None


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        (
            "0::/job/step\n",
            {"job/memory.max": "1000", "job/memory.current": "700", "job/memory.stat": "anon 1\ninactive_file 200\n"},
        ),
        (
            "4:memory:/job/step\n0::/\n",
            {
                "memory/job/memory.limit_in_bytes": "1000",
                "memory/job/memory.usage_in_bytes": "700",
                "memory/job/memory.stat": "total_inactive_file 200\n",
            },
        ),
    ],
)
def test_the_limit_of_a_control_group_around_counts(tmp_path: Path, membership: str, files: dict[str, str]) -> None:
    (tmp_path / "self").write_text(membership)
    assert machine.available_memory(tmp_path, tmp_path / "self") > 1 << 20
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert machine.available_memory(tmp_path, tmp_path / "self") == 500


def test_free_disk_is_that_of_a_folder_to_come(tmp_path: Path) -> None:
    assert machine.free_disk(tmp_path / "a" / "b") > 0
