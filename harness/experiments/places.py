"""Where the paths in an experiment file lead: beside the file first, then from the working folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.storage.files import looked_in
from harness.storage.names import exists
from harness.storage.reading import brief_name
from harness.storage.shipped import shipped_file, shipped_names

BUILT_IN = ("", "sample", "demonstration")


@dataclass(frozen=True)
class Places:
    """`file` is the experiment file; without one only the working folder is looked in."""

    file: Path | None = None

    @property
    def beside(self) -> Path:
        """The folder of the experiment file."""
        return Path() if self.file is None else self.file.parent

    def find(self, name: str) -> str:
        """What to hand on for a path: as it is written where that leads there from the working folder.

        A name of nothing here may be a hub's, and stays what it is.
        """
        beside, here = self.beside / name, Path(name)
        if not exists(beside) or (exists(here) and here.samefile(beside)):
            return name
        return os.path.abspath(beside)  # noqa: PTH100 - a symbolic link stays one

    def found_in(self, settings: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        """The settings with the paths among them found: texts whose key ends so, unless they name what is built in."""
        paths = {
            key: value
            for key, value in settings.items()
            if key.endswith(keys) and isinstance(value, str) and value not in BUILT_IN
        }
        return {**settings, **{key: self.find(value) for key, value in paths.items()}}

    def accelerate_config(self, name: Path) -> Path:
        """The file of an accelerate config, which may be one that comes with the program.

        Raises:
            ValueError: there is none; names where it was looked for, and the shipped ones.
        """
        found = Path(self.find(str(name)))
        if exists(found) and found.is_file():
            return found
        if (ours := shipped_file("accelerate_configs", str(name))) is not None:
            return ours
        file = "" if self.file is None else f"{self.file}: "
        raise ValueError(
            f"{file}accelerate_config {brief_name(str(name))}: no such file {looked_in(self.beside)}; those that come "
            f"with the program are {', '.join(shipped_names('accelerate_configs'))}"
        )


def experiment_path(path: Path) -> Path:
    """The experiment file that is meant: `path` itself, else `NAME.yaml` here, else the shipped one of that name.

    Raises:
        ValueError: there is none; names the shipped ones.
    """
    if path.is_file():
        return path
    is_name = not path.suffix and len(path.parts) == 1
    if is_name and (own := path.with_suffix(".yaml")).is_file():
        return own
    if is_name and (ours := shipped_file("experiments", str(path))) is not None:
        return ours
    instead = shipped_file("experiments", str(path))
    hint = f"take `{instead.stem}`, or one of" if instead is not None else "those that come with the program are"
    raise ValueError(
        f"{path}: no such experiment file from {Path.cwd()}; {hint} {', '.join(shipped_names('experiments'))}"
    )
