"""Sections of docstrings on the site (mkdocs.yml calls this): fields of a class, and several names with one text."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SEVERAL = re.compile(r"^( +)(\w+), (\w+(?:, \w+)*): (.*(?:\n\1 +\S.*)*)$", re.MULTILINE)
"""A line of a section that describes several names, with the lines that continue it."""
_EXAMPLE = re.compile(r"^(>>> .*(?:\n\S.*)*)", re.MULTILINE)


class Sections(griffe.Extension):
    """The project's way of writing docstrings, made into sections that every name is listed in by itself."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Put the paragraph that describes a class's fields, `name: text` or `name, name: text`, into a section."""
        name = "|".join(map(re.escape, cls.members)) or "(?!)"
        field = re.compile(rf"(?:^|(?<=[.;] ))((?:{name})(?:, (?:{name}))*): ", re.MULTILINE)
        paragraphs = cls.docstring.value.split("\n\n") if cls.docstring else []
        for number, paragraph in enumerate(paragraphs):
            if cls.docstring and field.match(paragraph):
                _, *parts = field.split(paragraph)
                lines = ["Attributes:"]
                for names, text in zip(parts[::2], parts[1::2], strict=True):
                    lines += [f"    {one}: {' '.join(text.split())}" for one in names.split(", ")]
                cls.docstring.value = "\n\n".join([*paragraphs[:number], "\n".join(lines), *paragraphs[number + 1 :]])
                return

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Give each of several arguments or errors its own line, and mark examples as code."""
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(r"```pycon\n\1\n```", obj.docstring.value)
        while obj.docstring and (found := _SEVERAL.search(obj.docstring.value)):
            indent, first, others, text = found.groups()
            lines = f"{indent}{first}: {text}\n{indent}{others}: {text}"
            obj.docstring.value = obj.docstring.value[: found.start()] + lines + obj.docstring.value[found.end() :]
