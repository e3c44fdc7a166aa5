"""What is called from Python works in one process; several are started by the commands."""

from __future__ import annotations

import os


def require_one_process(function: str, command: str) -> None:
    """Refuse to be one of several, each of which would do all of the work.

    Raises:
        RuntimeError: names the command that spreads it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RuntimeError(
            f"harness.{function} works in one process, and this is one of several. To spread it: accelerate launch "
            f"--config_file accelerate_configs/... -m {command}"
        )
