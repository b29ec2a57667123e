"""The tasks: one record for each. Plain data, which needs neither torch nor images.

`lutra.evaluation.protocols` makes a task's protocol of its record; the commands, params.yaml, the report and the zoo
take names, titles and options from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Planes = Literal["each", "luma"]
"""The planes that a model was trained on: "each" colour plane by itself, 0..255, or the "luma" Y of BT.601, 16..235."""

Measure = Literal["psnr_y", "ssim_y", "psnr", "psnr_b", "ssim"]
Kind = Literal["scale", "choice", "number", "range", "whole range"]

_SSIM = "SSIM by an 11x11 Gaussian, sigma 1.5, valid region"
_ENLARGED = (
    "PSNR and SSIM on Y (BT.601, 16..235) of uint8 RGB, {border} border pixels cut for PSNR, none for SSIM "
    "(11x11 Gaussian, sigma 1.5, valid region)"
)
_PLANES = f"PSNR over all planes, no border cut; {_SSIM}, mean over planes"
_SEED = "Philox, seed 0, counted by the image's place in its set"


@dataclass(frozen=True)
class Option:
    """An option of a task.

    name: the field of the degradation that it sets.
    kind: a scale (1 to 4), one of `choices`, a number, or a range: a number, or [least, most].
    meaning: what it is, with its unit.
    default: its value where none is given; None where the task needs one.
    choices: the values of the kind "choice".
    texts: what a protocol's sentence has for each of the choices; () for the choices themselves.
    """

    name: str
    kind: Kind
    meaning: str
    default: Any = None
    choices: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The meaning, the other form of a range, and what null stands for, as the schema of params.yaml has it."""
        either = ", or [least, most]" if self.kind.endswith("range") else ""
        return f"{self.meaning}{either}" + ("" if self.default is None else f"; null: {self.default}")


@dataclass(frozen=True)
class Task:
    """One task.

    name: its name in files and on the command line.
    title: its name in reports and on cards.
    short: what a number is put after to name a variant, as in x4 and denoise25.
    strength: the option that this number is; None where the variants differ in more than one number.
    options: what it needs and knows, the needed ones first.
    degradation: the name of the class in `lutra.imaging.degrade` that makes its inputs; its fields are the options.
    measures: what a restored image is scored by; the first one ranks.
    made: how inputs are made, in words; braces hold fields of the degradation.
    scored: what is measured, in words, likewise.
    planes: what its models are trained on.
    labels: what the input and the clean image are called on pictures.
    colour: whether its images must be in colour.
    """

    name: str
    title: str
    short: str
    strength: str | None
    options: tuple[Option, ...]
    degradation: str
    measures: tuple[Measure, ...]
    made: str
    scored: str
    planes: Planes = "each"
    labels: tuple[str, str] = ("input", "clean")
    colour: bool = False

    @property
    def severity(self) -> str | None:
        """The option that tells how strong the degradation is, such as sigma; None without, as in super-resolution."""
        return None if self.strength == "scale" else self.strength

    def suffix(self, value: float) -> str:
        """Return what follows an image set's name where it is scored at that severity, such as "-sigma25"."""
        return f"-{self.severity}{value:g}"

    @property
    def enlarges(self) -> bool:
        """Whether restored images may be larger than their inputs."""
        return any(option.kind == "scale" for option in self.options)


_NOISE = "standard deviation of the noise, in levels"
_GAUSSIAN = (
    Option("sigma", "range", _NOISE),
    Option(
        "noise",
        "choice",
        "rounded and clipped as a file needs it, or as papers draw it, and not clipped",
        "file",
        ("file", "paper"),
        (
            f"({_SEED}), rounded and clipped to uint8",
            "(NumPy's RandomState, seed 0 for every image, pixels / 255), rounded but not clipped; models look up "
            "clipped values, and those that add their input add it unclipped",
        ),
    ),
)

_DENOISE = Task(
    name="denoise",
    title="Denoising",
    short="denoise",
    strength="sigma",
    options=_GAUSSIAN,
    degradation="Noise",
    measures=("psnr", "ssim"),
    made="input: Gaussian noise of sigma {sigma} {noise}",
    scored=_PLANES,
)

_ALL = (
    Task(
        name="sr",
        title="Super-resolution",
        short="x",
        strength="scale",
        options=(
            Option("scale", "scale", "upscaling factor"),
            Option("bicubic", "choice", "which of MATLAB's two roundings makes LR", "uint8", ("uint8", "double")),
        ),
        degradation="Bicubic",
        measures=("psnr_y", "ssim_y"),
        made="LR: MATLAB bicubic x1/{scale} ({bicubic} variant) of HR cropped to a multiple of {multiple}",
        scored=_ENLARGED,
        labels=("LR", "HR"),
    ),
    _DENOISE,
    Task(
        name="deblock",
        title="JPEG deblocking",
        short="deblock",
        strength="quality",
        options=(Option("quality", "whole range", "quality of JPEG, 1 to 100"),),
        degradation="Jpeg",
        measures=("psnr", "psnr_b", "ssim"),
        made="input: JPEG of quality {quality} (libjpeg) of Y (BT.601, 16..235, rounded) or of the gray image",
        scored=f"PSNR and PSNR-B (8x8 blocks) of Y, no border cut; {_SSIM}",
        planes="luma",
    ),
    Task(
        name="deblur",
        title="Deblurring",
        short="deblur",
        strength=None,
        options=(
            Option("length", "range", "length of the camera's path, in pixels", [5, 10]),
            Option("sigma", "number", _NOISE, 1),
            Option("inertia", "number", "time in which the camera forgets its velocity, in exposures", 0.05),
        ),
        degradation="MotionBlur",
        measures=("psnr", "ssim"),
        made="input: blur of a random camera path of {length} pixels, inertia {inertia}, then Gaussian noise of sigma "
        f"{{sigma}} ({_SEED}), rounded",
        scored=_PLANES,
    ),
    Task(
        name="photo",
        title="Restoration of photographs",
        short="photo",
        strength="scale",
        options=(
            Option("scale", "scale", "upscaling factor"),
            Option("blur", "range", "standard deviation of the blur, in pixels of the input", [0.2, 0.8]),
            Option("sigma", "range", _NOISE, [1, 15]),
            Option("quality", "whole range", "quality of JPEG, 1 to 100", [40, 95]),
        ),
        degradation="Photo",
        measures=("psnr_y", "ssim_y"),
        made="input: a photograph's chain: Gaussian blur of {blur} pixels, shrinking by 1/{scale} by box, bilinear, "
        "bicubic or Lanczos, noise of sigma {sigma}, JPEG of quality {quality} (libjpeg, chroma whole or halved); "
        f"blur, noise and JPEG each left out of one image in four, not all of them at x1 ({_SEED})",
        scored=_ENLARGED,
    ),
    replace(_DENOISE, name="denoise-colour", title="Colour denoising", short="dn-colour-", colour=True),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}
"""Every task by its name, in the order of tables."""

PREFERRED = tuple(name for name in ("photo", "sr") if name in TASKS)
"""The tasks to choose a model from where neither a model nor a task is named, in order."""


def options() -> dict[str, dict[str, Option]]:
    """Return the options of all tasks: {option: {task that has it: the option there}}."""
    found: dict[str, dict[str, Option]] = {}
    for task in TASKS.values():
        for option in task.options:
            found.setdefault(option.name, {})[task.name] = option
    return found
