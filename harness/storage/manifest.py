"""`manifest.json`: the digest of each file of a checkpoint, which makes it a complete one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from harness.storage.files import atomic_write, sha256_file
from harness.storage.names import inside
from harness.storage.reading import read_object, shown

MANIFEST = "manifest.json"
"""Written by `training.checkpoints` when a checkpoint is complete."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_manifest(checkpoint: Path) -> dict[str, str]:
    """The sha256 (hex) of each file of a checkpoint, by its name within the folder.

    Raises:
        OSError: there is no manifest.
        ValueError: it is none, or a name in it leads out of the folder; names the file.
    """
    file = checkpoint / MANIFEST
    digests = read_object(file, "delete the checkpoint's folder, or put its own manifest back")
    if not digests:
        raise ValueError(f"{file}: names no files; delete the checkpoint's folder, or put its own manifest back")
    for name, digest in digests.items():
        inside(checkpoint, name, str(file))
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ValueError(f"{file}: {name}: expected a sha256 of 64 hex digits, found {shown(digest)}")
    return digests


def relist(checkpoint: Path, name: str) -> None:
    """Put a file's digest into the manifest anew, where that lists it, so that the checkpoint stays complete."""
    if (checkpoint / MANIFEST).is_file() and name in (digests := read_manifest(checkpoint)):
        told = {**digests, name: sha256_file(checkpoint / name)}
        atomic_write(checkpoint / MANIFEST, json.dumps(told, indent=1) + "\n")
