"""`python run_module.py MODULE ...` is a `python -m MODULE ...` that imports nothing from the working folder.

`python -m` looks there first: a user's own `training.py` or `random.py` would run in place of ours or of Python's.
`PYTHONSAFEPATH` forbids that from Python 3.11 on; this file, started by its path, does on every version, and a launcher
that starts its script on several processes starts it again on each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from runpy import run_module

OUR_PACKAGES = ("harness", "training")
FILE = Path(__file__).resolve()
ASKED_PATH = "STEREOSCOPE_PYTHONPATH"
"""The environment variable with the user's own `PYTHONPATH`."""


def program(module: str) -> tuple[str, str]:
    """What follows `python`, or the options of a launcher of scripts, to run a module so."""
    return (str(FILE), module)


def safe_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process whose own children, too, shall import nothing from the working folder."""
    # An empty part names that folder, and `PYTHONPATH=/mine:$PYTHONPATH` leaves one where nothing was set before.
    parts = [part for part in variables.get("PYTHONPATH", "").split(os.pathsep) if part]
    others = {name: value for name, value in variables.items() if name != "PYTHONPATH"}
    path = os.pathsep.join(parts)
    return {**others, **({"PYTHONPATH": path} if parts else {}), "PYTHONSAFEPATH": "1", ASKED_PATH: path}


def leave_working_folder() -> None:
    """In a program started by `python -m`: what is imported from now on does not come from the working folder."""
    if _started_by_name() and not _safe_path() and sys.path[0] in ("", str(Path.cwd())):
        del sys.path[0]
    _take_our_packages()


def _take_our_packages() -> None:
    """Import this project's packages from where this file lies, whatever else has their names."""
    root = str(FILE.parents[2])
    for name in OUR_PACKAGES:
        spec = None if name in sys.modules else PathFinder.find_spec(name, [root])
        if spec is not None and spec.loader is not None:
            sys.modules[name] = module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
    if root not in sys.path:
        sys.path.append(root)


def _started_by_name() -> bool:
    options = [word for word in sys.orig_argv[1:3] if word.startswith("-")]
    return "-m" in options


def _safe_path() -> bool:
    return bool(getattr(sys.flags, "safe_path", False))


def main() -> None:
    """Run the module that the first argument names; what follows is its own."""
    if not _safe_path():
        # Python has put this file's folder first.
        del sys.path[0]
    asked = [Path(part).resolve() for part in os.environ.get(ASKED_PATH, ".").split(os.pathsep) if part]
    if (here := Path.cwd().resolve()) not in asked:
        # For DeepSpeed accelerate puts the working folder on the path of the processes that it starts.
        sys.path[:] = [part for part in sys.path if Path(part).resolve() != here]
    _take_our_packages()
    from harness.terminal.logs import start_logging

    # For launchers, which are not ours and log as they like.
    start_logging()
    del sys.argv[0]
    run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
