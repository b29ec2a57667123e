"""Read YAML strictly, and explain a mistake in one line: where, what was found, what was expected."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.tokens import (
    AliasToken,
    BlockEndToken,
    BlockMappingStartToken,
    BlockSequenceStartToken,
    FlowMappingEndToken,
    FlowMappingStartToken,
    FlowSequenceEndToken,
    FlowSequenceStartToken,
    ScalarToken,
)

_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
_EXPONENT_1_1 = re.compile(r"[-+]?[0-9]+\.[0-9]*[eE][-+][0-9]+")
_NUMBER_1_1 = re.compile(r"[-+]?0[0-7_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?[0-9][0-9]*_[0-9_]*")
"""Text that YAML 1.1 reads as an octal number, as base 60, or as a number with underscores."""
_OPENING = (BlockMappingStartToken, BlockSequenceStartToken, FlowMappingStartToken, FlowSequenceStartToken)
_CLOSING = (BlockEndToken, FlowMappingEndToken, FlowSequenceEndToken)
_MOST_BYTES, _DEEPEST, _MOST_ALIASES = 1 << 20, 40, 16
_MAPPING = "a mapping ({{}} for the defaults)"
_EXPECTED = {  # where pydantic speaks of Python rather than of YAML
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": "a list, as in [4]",
    "too_short": "at least {min_length}",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "text that matches {pattern}",
}
_LONGEST = 60  # characters of a wrong value that are shown


def read_yaml(content: bytes) -> Any:
    """Return the plain data in a YAML document.

    Raises:
        ValueError: it is no YAML in UTF-8, has tags of its own or a key twice, or writes a number as 1e-3: YAML 1.1
            readers, such as Snakemake's, take that for text.
    """
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError(f"found {len(content)} bytes, expected at most {_MOST_BYTES}")
        text = content.decode("utf-8")
        _check_tokens(text)
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = " ".join((error.problem or error.context or "a mistake").split()).removeprefix("found ")
        raise ValueError(f"{where}found {problem}, expected plain YAML with each key once") from None
    except LookupError as error:  # ruamel.yaml's, for `!!bool maybe`
        raise ValueError(f"found a tagged value that cannot be read ({error}), expected plain YAML") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"found no YAML ({' '.join(str(error).split())}), expected plain YAML in UTF-8") from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first mistake in data for `model`, unknown keys before all others, and how many more there are."""
    mistakes = sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden")
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return _line(mistakes[0], model) + more


def one_of(found: str, known: Sequence[str]) -> str:
    """Return what was expected in place of `found`: the known names, and the nearest of them."""
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else ""
    return (f"one of {', '.join(known)}" if known else "none, because none is known") + hint


def shown(value: Any) -> str:
    """Return a wrong value as text that is short enough for a line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _line(mistake: ErrorDetails, model: type[BaseModel]) -> str:
    *parents, key = mistake["loc"] or ("",)
    kind, message = mistake["type"], mistake["msg"]
    if kind == "extra_forbidden":
        return f"{_path(mistake['loc'])}: found an unknown key, expected {one_of(str(key), _keys_at(model, parents))}"
    if kind == "missing":
        return f"{_path(mistake['loc'])}: found no such key, expected it (required)"
    if kind == "value_error":  # our own checks, which name the key below
        return ".".join(filter(None, (_path(mistake["loc"]), message.removeprefix("Value error, "))))
    if key == "[key]":
        wanted = "a name of small letters, digits and hyphens"
        return f"{_path(parents)}: found the name, expected {wanted}"
    expected = _EXPECTED.get(kind, message.removeprefix("Input should be ")).format(**mistake.get("ctx", {}))
    return f"{_path(mistake['loc'])}: found {shown(mistake['input'])}, expected {expected}"


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys of the section at `location`."""
    parts = iter(location)
    for part in parts:
        annotation = model.model_fields[str(part)].annotation
        model = next(_models(annotation))
        if get_origin(annotation) is dict:
            next(parts)  # the name of a block
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _check_tokens(text: str) -> None:
    """Refuse scalars that readers of YAML 1.1 (Snakemake's) understand otherwise, and what grows without bound."""
    depth, aliases = 0, 0
    for token in YAML(typ="safe", pure=True).scan(text):
        line = token.start_mark.line + 1
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        aliases += isinstance(token, AliasToken)
        if depth > _DEEPEST:
            raise ValueError(f"line {line}: found more than {_DEEPEST} levels, expected fewer")
        if aliases > _MOST_ALIASES:
            raise ValueError(f"line {line}: found more than {_MOST_ALIASES} aliases, expected fewer")
        value = token.value if isinstance(token, ScalarToken) and token.plain else ""
        if _EXPONENT.fullmatch(value) and not _EXPONENT_1_1.fullmatch(value):
            raise ValueError(f"line {line}: found {value}, expected a dot and a sign in it, as in 1.0e-3")
        if value.lower() in ("yes", "no", "on", "off"):
            raise ValueError(f"line {line}: found {value}, expected quotes around it, or true or false")
        if _NUMBER_1_1.fullmatch(value):
            raise ValueError(f"line {line}: found {shown(value)}, expected a decimal number, or quotes around it")
