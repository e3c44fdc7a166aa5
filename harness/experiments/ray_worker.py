"""What runs on a node of a Ray cluster: a stage's command, its output in a file of the run's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.experiments.launching import SECONDS_TO_SAVE
from harness.machine.orphans import stage_environment, wait_for_stages
from harness.machine.run_module import safe_environment

TOKEN_FILE = ".token"


@dataclass(frozen=True)
class Order:
    """A stage for whatever node takes it; paths are absolute, and the same on all."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    cwd: Path
    folder: Path
    token: str
    log: Path


class Started(NamedTuple):
    """A node took the stage."""

    node: str


class Ended(NamedTuple):
    """The stage's command ended by itself."""

    exit_code: int


def run_stage(order: Order) -> Iterator[Started | Ended]:
    """Run the command and end it, and all its processes, with this worker.

    Raises:
        RuntimeError: the node does not share the run's folder, or an earlier attempt still works in it.
    """
    if problem := missing(order):
        raise RuntimeError(problem)
    # Ray cancels by an interrupt, which the workers of a cluster that a script started in its background ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Started(node_name())
    own = stage_environment(order.folder, order.name)
    shutdown = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SECONDS_TO_SAVE)}
    with order.log.open("ab") as output:
        variables = safe_environment({**shutdown, **os.environ, **order.variables, **own})
        process = subprocess.Popen(order.command, cwd=order.cwd, env=variables, stdout=output, stderr=output)
        try:
            # A blocking wait would not hear that the stage is cancelled.
            while process.poll() is None:
                time.sleep(0.2)
        finally:
            process.terminate()
            process.wait()
            wait_for_stages(own)
    yield Ended(process.returncode)


def missing(order: Order) -> str | None:
    """What this node lacks of what a stage needs, in words for the user; None if nothing."""
    here = f"node {node_name()}"
    if not order.cwd.is_dir():
        return f"{here}: no folder {order.cwd}, where the run was started; all nodes must share it"
    if not Path(order.command[0]).exists():
        return f"{here}: no Python at {order.command[0]}; all nodes need the same environment at the same path"
    file = order.folder / TOKEN_FILE
    try:
        found = file.read_text(encoding="utf-8")
    except OSError as error:
        return f"{here} cannot read {file} ({error.strerror}): the run's folder must be one that all nodes share"
    if found != order.token:
        return f"{here} has another {file}: the run's folder must be one that all nodes share"
    return None


def node_name() -> str:
    """Host name and the beginning of Ray's own name for the node, since a host may be several."""
    import ray

    return f"{os.uname().nodename} ({ray.get_runtime_context().get_node_id()[:8]})"
