"""The catalogue of image sets, data/catalogue.yaml, as typed entries: packaged, downloaded or synthetic."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from pipeline import PROJECT
from pipeline.params import reading

DATA = PROJECT / "data"
"""Folder that holds a folder for each fetched set."""
CATALOGUE = DATA / "catalogue.yaml"

_Text = Annotated[str, Field(min_length=1)]
_Address = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Entry):
    """One image of a packaged set."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    halve: bool = False


class Download(_Entry):
    """An archive that holds images of a set."""

    url: _Address
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None  # where its publisher gives no sha256
    bytes: Annotated[int, Field(gt=0)] | None = None
    """About its size."""

    @property
    def checksum(self) -> str | None:
        """Its checksum as `sha256:...` or `md5:...`; None where none is known."""
        return f"sha256:{self.sha256}" if self.sha256 else f"md5:{self.md5}" if self.md5 else None


class _Described(_Entry):
    title: _Text
    home: _Address
    licence: _Text
    free: bool = False
    """Whether tables that were trained on it may be shipped for any purpose."""


class Packaged(_Described):
    """Files of an installed Python package: nothing to fetch."""

    kind: Literal["packaged"] = "packaged"
    package: str
    folder: str
    files: tuple[File, ...]
    version: str | None = None

    @property
    def requirement(self) -> str:
        """The requirement in pip's notation."""
        return self.package + (f"=={self.version}" if self.version else "")

    def distribution(self) -> metadata.Distribution:
        """Return the installed package, of any version; ValueError with how to install it if there is none."""
        try:
            return metadata.distribution(self.package)
        except metadata.PackageNotFoundError:
            raise ValueError(f"package {self.package} is not installed: run `pip install {self.requirement}`") from None


class Downloaded(_Described):
    """A set that `python -m pipeline fetch` brings to data/NAME, from its address or from the user's copy."""

    kind: Literal["downloaded"] = "downloaded"
    use: _Text
    """The use that its licence allows, in one sentence."""
    count: Annotated[int, Field(gt=0)]
    """Images, or pairs of images."""
    pairs: bool = False
    """Degraded images come with the clean ones: data/NAME/input and data/NAME/target."""
    downloads: tuple[Download, ...] = ()
    """Empty where the set can only come from the user's own copy."""
    images: tuple[str, ...] = ()
    """Patterns of the ends of paths, such as `Set5/HR/*.png`, where a download or a copy holds more than the set."""
    shrink: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor by which its images are shrunk when they are read: for photographs that are soft at their full size."""
    note: str = ""
    """Text that tells a user without the images how to get them."""

    @model_validator(mode="after")
    def _explain_how_to_get_it(self) -> Downloaded:
        if self.pairs and self.shrink < 1:
            raise ValueError(f"shrink: found {self.shrink:g} for pairs, expected 1")
        if not self.downloads and not self.note:
            raise ValueError("note: found none, expected one that says how to get a set without downloads")
        return self


class Synthetic(_Described):
    """Images that are computed: nothing to fetch."""

    kind: Literal["synthetic"]


def _kind(value: Any) -> str:
    """Return the kind of an entry, which gives `kind` only where its other keys do not tell."""
    if not isinstance(value, dict):
        return str(getattr(value, "kind", "downloaded"))
    return str(value.get("kind") or ("packaged" if "package" in value else "downloaded"))


ImageSet = Annotated[
    Annotated[Packaged, Tag("packaged")]
    | Annotated[Downloaded, Tag("downloaded")]
    | Annotated[Synthetic, Tag("synthetic")],
    Discriminator(_kind),
]
"""An entry of the catalogue."""


def catalogue(path: Path = CATALOGUE) -> dict[str, Packaged | Downloaded | Synthetic]:
    """Return the image sets by name.

    Raises:
        ValueError: the file has a mistake; names the entry and the key.
    """
    try:
        return dict(_parsed(path.read_bytes()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = [str(part) for part in first["loc"]]
        where = ".".join(location[:1] + location[2:])  # after the name comes the kind
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path}: {where}: {reason}" if where else f"{path}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@cache
def _parsed(content: bytes) -> dict[str, Packaged | Downloaded | Synthetic]:
    """Return what the text holds; to read it takes a seventh of a second, and a stage asks for it several times."""
    return TypeAdapter(dict[str, ImageSet]).validate_python(reading.read_yaml(content))
