"""Model folders that are written as a whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LICENCE = re.compile(r"licen[cs]e|copying|notice|terms|use.policy", re.IGNORECASE)
WEIGHTS = (".gguf", ".safetensors", ".bin")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Inside, a folder to write files into; it takes the place of `folder` once all is written, and is gone if not.

    Raises:
        ValueError: `folder` is a file, or holds something.
    """
    require_new(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that the rename that makes it visible is one step on one file system.
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                file.chmod(0o644)
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        partial.chmod(0o755)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_new(folder: Path) -> None:
    """Raises:
    ValueError: there is a file of this name, or a folder that holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something else than this model; name an empty or new folder")


def copy_licences(source: Path, target: Path) -> list[str]:
    """Copy the files of a folder that say on what terms its model may be used; gives their names."""
    files = sorted(file for file in source.iterdir() if LICENCE.search(file.name) and file.is_file())
    return [shutil.copyfile(file, target / file.name).name for file in files if file.suffix not in WEIGHTS]
