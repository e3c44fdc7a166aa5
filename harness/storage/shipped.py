"""The folders that come with the program beside its code: tasks, accelerate configs, ready experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Folder = Literal["tasks", "accelerate_configs", "experiments"]


def shipped(folder: Folder) -> Path:
    """Where one of these folders is: inside the package once installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "shipped" / folder
    return inside if inside.is_dir() else package.parent / folder


def shipped_names(folder: Folder) -> list[str]:
    """What such a folder's YAML files are called, without suffix."""
    return sorted(file.stem for file in shipped(folder).glob("*.yaml"))


def shipped_file(folder: Folder, name: str) -> Path | None:
    """The file that `NAME`, or `FOLDER/NAME.yaml` as in a checkout, stands for; None if none is shipped."""
    stem = Path(name).stem if Path(name).parts[:-1] == (folder,) else name
    return shipped(folder) / f"{stem}.yaml" if stem in shipped_names(folder) else None
