"""Names in an experiment file that folders will have."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

LONGEST_NAME = 120
"""Characters: files take 255, and some have more than the name in theirs."""


def check_name(name: str) -> str:
    """The name of an experiment, model or method, which a folder will have.

    Raises:
        ValueError: too long, or characters that a folder's name had better not have.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"{name!r} names a folder too: use letters, digits, '.', '_' and '-'")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{name[:40]}... names a folder too: {len(name)} characters, use {LONGEST_NAME} at most")
    return name


FileName = Annotated[str, AfterValidator(check_name)]
