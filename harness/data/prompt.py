"""Wording of prompts: the template that a user gives, checked before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter

from harness.storage.reading import shown
from harness.storage.text import read_text

WORDING = "wording"
OTHER_WORDING = "second"


def worded(metadata: Mapping[str, object], first: str, second: str) -> str:
    """The wording that the metadata `wording` asks for: "first", which is the default, or "second".

    Raises:
        ValueError: another one.
    """
    given = metadata.get(WORDING, "first")
    if given not in ("first", OTHER_WORDING):
        raise ValueError(f"{WORDING}={given!r}: expected first or {OTHER_WORDING}; prompt_template=... takes your own")
    return second if given == OTHER_WORDING else first


def choose_template(given: object, default: str, placeholders: Sequence[str], key: str = "prompt_template") -> str:
    """The template to ask with: `default`, unless `given` (the metadata `key`) is a text or a file of one.

    Raises:
        ValueError: not every placeholder is in it, or others are, or it is neither a text with braces nor a file.
    """
    if given is None:
        return default
    template = str(given)
    if "{" not in template:
        if not Path(template).is_file():
            raise ValueError(
                f"{key}={template!r} is neither a file nor a text with "
                f"{', '.join(f'{{{name}}}' for name in placeholders)}"
            )
        key, template = f"{key}={template}", read_text(Path(template)).rstrip("\n")
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"{key}: {error}; a brace that stands for itself is written twice") from error
    found = [str(name) for _, name, _, _ in parts]
    if styled := [name for _, name, style, conversion in parts if style or conversion]:
        raise ValueError(f"{key}: {styled[0]!r} has a format of its own; write {{{styled[0]!s}}} without one")
    missing, unknown = sorted(set(placeholders) - set(found)), sorted(set(found) - set(placeholders))
    if missing or unknown:
        raise ValueError(
            f"{key}: placeholders missing: {missing}, unknown: {shown(unknown)}; expected each of {tuple(placeholders)}"
        )
    return template
