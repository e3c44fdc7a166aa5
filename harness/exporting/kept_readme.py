"""Which README.md may be replaced: one that training wrote, or a card that nobody has changed since."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from harness.storage.files import sha256_file
from harness.storage.manifest import MANIFEST, read_manifest
from harness.storage.text import read_text

_SIGNATURE = "\n<!-- written by stereoscope card, sha256 {} -->\n"
_SIGNED = re.compile(r"\n<!-- written by stereoscope card, sha256 ([0-9a-f]{64}) -->\n\Z")


def signed(text: str) -> str:
    """A card with the digest of its text behind it, by which a change is known."""
    return text + _SIGNATURE.format(_digest(text))


def require_replaceable(file: Path, force: bool) -> None:
    """Raises:
    ValueError: the file was written or changed by a user and `force` is not given.
    """
    if force or not file.exists():
        return
    if not file.is_file():
        raise ValueError(f"{file}: a folder, expected a file to write the card into; give another --output")
    if not (_is_of_training(file) or _is_unchanged(file)):
        raise ValueError(
            f"{file}: somebody wrote or changed this file, so it is kept. Give --force to replace it, or --output to "
            "write the card elsewhere"
        )


def _is_of_training(file: Path) -> bool:
    """Whether it is the one that the checkpoint was sealed with, which libraries write as a template."""
    if not (file.parent / MANIFEST).is_file():
        return False
    return read_manifest(file.parent).get(file.name) == sha256_file(file)


def _is_unchanged(file: Path) -> bool:
    text = read_text(file)
    found = _SIGNED.search(text)
    return found is not None and found.group(1) == _digest(text[: found.start()])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
