"""Names that stand in files and become files themselves: none of them leads out of the folder that it is meant for."""

from __future__ import annotations

import errno
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from harness.terminal.printable import is_inert, one_line

LONGEST = 200
"""Bytes of a name in UTF-8: file systems take 255, and dates and suffixes come on top."""


def require_plain_name(name: object, where: str) -> str:
    """A name that a file or folder may have in any folder: one part, no separator, nothing that a terminal acts on.

    Args:
        where: what it was read from, for the message.

    Raises:
        ValueError: it is no such name; says where it stands.
    """
    if not isinstance(name, str) or not name or name in (".", "..") or re.search(r"[/\\]", name) or not is_inert(name):
        raise ValueError(f"{where}: {_shown(name)} cannot be a file's name: expected letters and digits, no / \\ or ..")
    if len(name.encode()) > LONGEST:
        raise ValueError(f"{where}: {_shown(name[:40])}... is too long for a file's name ({len(name.encode())} bytes)")
    return name


def inside(folder: Path, name: object, where: str) -> Path:
    """The file that a name stands for within a folder; links are followed, and may not lead out of it either.

    Args:
        name: of one part or of several, as manifests have them ("global_step2/shard.pt").
        where: what it was read from, for the message.

    Raises:
        ValueError: an absolute path, one with `..`, one of control characters, or a link that leads elsewhere.
    """
    told = f"{where}: {_shown(name)}"
    if not isinstance(name, str) or not name or not is_inert(name):
        raise ValueError(f"{told} cannot be a file's name")
    parts = PurePosixPath(name)
    if parts.is_absolute() or PureWindowsPath(name).drive or "\\" in name or ".." in parts.parts or not parts.parts:
        raise ValueError(f"{told} leads out of {folder}; expected a file within it")
    found = folder / name
    if not found.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{told} is a link that leads out of {folder}, to {found.resolve()}; expected a file within it"
        )
    return found


def exists(path: Path) -> bool:
    """Whether something lies there. What could not lie anywhere, a name of a thousand letters, does not."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
            return False
        raise


def _shown(name: object) -> str:
    return repr(one_line(name))[:80] if isinstance(name, str) else repr(name)[:80]
