"""A working folder with a user's own modules in it, whose names are ours and Python's."""

from __future__ import annotations

import sys
from pathlib import Path

NAMES = ("training", "harness", "tasks", "random")
MARKER = "imported"
STEREOSCOPE = [sys.executable, str(Path(sys.executable).with_name("stereoscope"))]
"""The command as a user has it: `python -m harness` would take a `harness.py` of the working folder for itself."""


def write_own_modules(folder: Path, *names: str) -> Path:
    """Modules that leave a line in a file when they are imported, and fail."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or NAMES:
        code = f"open({str(folder / MARKER)!r}, 'a').write({name!r} + ' ')\nraise SystemExit('a module of the user')\n"
        (folder / f"{name}.py").write_text(code)
    return folder


def imported(folder: Path) -> list[str]:
    """Which of these modules were imported."""
    marker = folder / MARKER
    return marker.read_text().split() if marker.exists() else []
