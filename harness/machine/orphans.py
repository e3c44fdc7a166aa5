"""A stage's processes end with the run that started them, even when it was killed outright."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PARENT_VARIABLE = "STEREOSCOPE_RUN"
_LOCK, _STAGE_LOCK = ".lock", ".stage*.lock"


def exit_with_run() -> None:
    """In a stage: leave at once when the process that started it is gone, and hold the stage's lock until then."""
    if not (value := os.environ.get(PARENT_VARIABLE)):
        return
    parent, lock = value.split(":", 1)
    # On NFS a file that is not open for reading cannot be locked together with others.
    handle = Path(lock).open("a+")  # noqa: SIM115 - open as long as this process lives
    fcntl.flock(handle, fcntl.LOCK_SH)

    def watch() -> None:
        while process_state(int(parent)) is not None:
            time.sleep(0.5)
        handle.flush()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def stop_with_launcher() -> None:
    """In a process that `accelerate launch` or torchrun started: when the launcher is gone, take it for SIGTERM.

    With one process, `accelerate launch` does not pass a signal on.
    """
    if not os.environ.keys() & {"ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID"}:
        return
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """In a run: hold `folder` alone.

    Raises:
        RuntimeError: another run works in the folder, or a stage of one that was killed does not end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"{folder}: another `stereoscope run` is at work here; wait for it or stop it") from None
        for stage_lock in sorted(folder.glob(_STAGE_LOCK)):
            _wait_for(stage_lock, 20)
        yield


def stage_environment(folder: Path, stage: str = "") -> dict[str, str]:
    """In the process that starts a stage: the variables that make the stage's processes end with this one.

    Args:
        stage: its name, where several stages of a run are at work at once: each has a lock of its own then.

    Raises:
        RuntimeError: an earlier attempt at the stage, whose starter was killed, does not end.
    """
    lock = folder.resolve() / _STAGE_LOCK.replace("*", f".{stage}" if stage else "")
    _wait_for(lock, 20)
    return {PARENT_VARIABLE: f"{os.getpid()}:{lock}"}


def wait_for_stages(environment: Mapping[str, str], seconds: float = 120) -> None:
    """In that process: wait until none of the stage's is left; one may outlive its launcher to save a checkpoint.

    Args:
        environment: of `stage_environment`.

    Raises:
        RuntimeError: one does not end.
    """
    _wait_for(Path(environment[PARENT_VARIABLE].split(":", 1)[1]), seconds)


def _wait_for(lock: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with lock.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{lock.parent}: a stage of an earlier run is still at work; stop it first"
                    ) from None
                time.sleep(0.2)
            else:
                return


def process_state(pid: int) -> str | None:
    """The letter of a process's state, as in `ps` (R, S, D, T, ...); None if it is gone, "?" if it cannot be known."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "?"
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "?"
    # A killed process whose parent has not asked for its exit code still answers: it is a zombie.
    return None if state in "ZX" else state
