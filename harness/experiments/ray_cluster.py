"""A Ray cluster that is there already: how a run joins it, and which machines it has."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from harness.experiments.stage import Needs, Stage
from harness.machine.run_module import FILE


def join(address: str | None) -> None:
    """Make this process a driver of the cluster.

    Args:
        address: HOST:PORT of its head; by default `RAY_ADDRESS`, or the cluster that this machine is part of.

    Raises:
        ValueError: an address that only lends out a proxy.
        RuntimeError: no cluster there.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    if "://" in address:
        raise ValueError(f"--address {address}: expected HOST:PORT of the head; start the run on one of its nodes")
    try:
        if address != "auto":
            # Ray itself would try for minutes, and then end the process.
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        with _in_folder(FILE.parents[2]):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise RuntimeError(
            f"no Ray cluster at {address} that this machine is part of ({error}). Start one with "
            "`ray start --head` here and `ray start --address HOST:PORT` on the others, or leave --executor out"
        ) from error


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Inside, `folder` is the working folder, which Ray makes the first place that its workers import from."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def nodes() -> list[dict[str, Any]]:
    """Those that are alive, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def require_room(stages: Sequence[Stage]) -> None:
    """A stage that fits on no node would wait for ever."""
    sizes = [Needs(int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0))) for node in nodes()]
    listed = ", ".join(f"{size.cpus} and {size.gpus}" for size in sorted(sizes))
    for stage in stages:
        if not any(size.cpus >= stage.needs.cpus and size.gpus >= stage.needs.gpus for size in sizes):
            raise ValueError(
                f"{stage.name} needs {stage.needs.cpus} CPUs and {stage.needs.gpus} GPUs of one node; the cluster's "
                f"have {listed}. Take another accelerate_config"
            )
