"""`stereoscope run --executor ray`: stages on the machines of a Ray cluster, as many at once as there is room for.

Every node must see the working folder, the run's folder and this Python environment under the paths they have here: a
file system that all share. Messages of a stage go to a file in the run's folder.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.experiments.launching import SECONDS_TO_SAVE
from harness.experiments.ray_cluster import join, nodes, require_room
from harness.experiments.ray_worker import TOKEN_FILE, Ended, Order, Started, missing, run_stage
from harness.experiments.stage import Stage, duration, titled
from harness.storage.files import atomic_write

log = logging.getLogger(__name__)

LOGS = "logs"
TIMES_LOST = 4
STATUS_SECONDS = 60
SHARED_FOLDER_SECONDS = 65
"""NFS may show a node a folder as it was a minute ago."""
LOST = (LocalRayletDiedError, NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError)
HANDED_ON = ("ACCELERATE_", "HF_", "OMP_NUM_THREADS", "STEREOSCOPE_", "TOKENIZERS_", "TRANSFORMERS_")
TAIL_LINES = 20


@dataclass(frozen=True)
class _Running:
    """A stage that Ray has.

    `lost` and `failed` count the attempts before; `progress` is how far these had come; `since` when, on the monotonic
    clock, a node took it.
    """

    title: str
    stage: Stage
    lost: int = 0
    failed: int = 0
    progress: object = None
    since: float | None = None


class RayExecutor:
    """Runs stages on an existing cluster, which this process joins as a driver."""

    def __init__(self, address: str | None = None) -> None:
        """Join the cluster.

        Args:
            address: HOST:PORT of its head; by default `RAY_ADDRESS`, or the cluster that this machine is part of.

        Raises:
            ValueError: an address that only lends out a proxy.
            RuntimeError: no cluster there.
        """
        join(address)

    @property
    def gpus(self) -> int:
        """One where the cluster has any: models are many, so each stage takes one and many run at once."""
        return int(any(node["Resources"].get("GPU") for node in nodes()))

    def run(self, stages: Sequence[Stage], folder: Path, restarts: int) -> None:
        """All stages that are not finished; one that is lost with its machine starts again wherever there is room.

        Raises:
            ValueError: the machines do not share the folder, or none of them is large enough for a stage.
            RuntimeError: stages failed by themselves, or were lost several times. Those that do not wait for them have
                been run.
        """
        (folder / LOGS).mkdir(exist_ok=True)
        token = uuid.uuid4().hex
        atomic_write(folder / TOKEN_FILE, token)
        require_room(stages)
        _require_shared(_order(stages[0], folder, token))
        _Fleet(stages, folder, token, restarts).run()


class _Fleet:
    """The stages of one run, by where they are."""

    def __init__(self, stages: Sequence[Stage], folder: Path, token: str, restarts: int) -> None:
        self.folder, self.token, self.restarts = folder, token, restarts
        self.total = len(stages)
        self.waiting = list(titled(stages))
        self.running: dict[Any, _Running] = {}
        self.done: set[str] = set()
        self.failures: list[str] = []

    def run(self) -> None:
        """Until nothing runs and nothing more can start."""
        try:
            while self._start_what_can():
                ready, _ = ray.wait(list(self.running), timeout=STATUS_SECONDS)
                for stream in ready:
                    self._hear(stream)
                self._tell()
        except BaseException:
            self._stop()
            raise
        if self.failures:
            left = [title for title, _ in self.waiting]
            note = [f"Not started, since they wait for these: {', '.join(left)}"] if left else []
            raise RuntimeError("\n".join([*self.failures, *note, "Mend the cause and run the same command again."]))

    def _start_what_can(self) -> bool:
        """Hand every stage whose turn it is to Ray, which queues those that there is no room for yet.

        Returns:
            Whether any runs.
        """
        for title, stage in tuple(self.waiting):
            # In the order of the file, so that a stage that is finished already lets the next one of its model start.
            if not self.done.issuperset(stage.after):
                continue
            self.waiting.remove((title, stage))
            if stage.finished():
                log.info("%s: finished earlier, skipped", title)
                self.done.add(stage.name)
            else:
                self._submit(_Running(title, stage))
        return bool(self.running)

    def _submit(self, running: _Running) -> None:
        stage = running.stage
        stage.prepare()
        options = {"num_cpus": stage.needs.cpus, "num_gpus": stage.needs.gpus, "num_returns": "streaming"}
        # Ray's own retries would be silent.
        task = ray.remote(max_retries=0, **options)(run_stage)
        stream = task.remote(_order(stage, self.folder, self.token))
        self.running[stream] = replace(running, progress=stage.progress(), since=None)

    def _hear(self, stream: Any) -> None:
        """Take in one message of a stage, or its end; listed until then, so that what stops the run stops it too."""
        running = self.running[stream]
        try:
            message = ray.get(next(stream))
        except LOST as error:
            del self.running[stream]
            self._lost(running, error)
        except RayError as error:
            del self.running[stream]
            cause = error.cause if isinstance(error, RayTaskError) else error
            self._failed(running, f"could not be run: {cause}")
        else:
            if isinstance(message, Started):
                log.info("%s: started on %s", running.title, message.node)
                self.running[stream] = replace(running, since=time.monotonic())
            else:
                del self.running[stream]
                self._ended(running, message)

    def _ended(self, running: _Running, message: Ended) -> None:
        stage = running.stage
        if message.exit_code == 0 and _finished(stage):
            self.done.add(stage.name)
            log.info("%s: done in %s", running.title, duration(time.monotonic() - (running.since or 0)))
            return
        what = f"failed with exit code {message.exit_code}"
        if running.failed < self.restarts and stage.progress() != running.progress:
            left = self.restarts - running.failed - 1
            log.warning("%s: %s, but had come further: started again (%d left)", running.title, what, left)
            self._submit(replace(running, failed=running.failed + 1))
            return
        file = _log_file(self.folder, stage)
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
        alone = shlex.join(stage.command)
        self._failed(running, f"{what}. The end of {file}:\n{tail}\n  The stage alone: {alone}")

    def _lost(self, running: _Running, error: RayError) -> None:
        if _finished(running.stage, seconds=0):
            log.info("%s: lost with its machine, but done", running.title)
            self.done.add(running.stage.name)
        elif running.lost + 1 == TIMES_LOST:
            reason = str(error).splitlines()[0]
            self._failed(running, f"lost with its machine {TIMES_LOST} times, last: {reason}")
        else:
            left = TIMES_LOST - running.lost - 1
            log.warning("%s: lost with its machine, started again (%d left)", running.title, left)
            self._submit(replace(running, lost=running.lost + 1))

    def _failed(self, running: _Running, what: str) -> None:
        self.failures.append(f"{running.title}: {what}")
        log.error("%s: failed; models that do not need it go on", running.title)

    def _tell(self) -> None:
        now = time.monotonic()
        at_work = [
            f"{it.stage.name} {duration(now - it.since)}" for it in self.running.values() if it.since is not None
        ]
        queued = len(self.running) - len(at_work)
        log.info(
            "%d of %d stages done, %d failed, %d queued, %d to come; at work: %s",
            len(self.done),
            self.total,
            len(self.failures),
            queued,
            len(self.waiting),
            ", ".join(at_work) or "none",
        )

    def _stop(self) -> None:
        """The run was told to stop, and tells its stages: they have time to write what they have."""
        ends = [stream.completed() for stream in self.running]
        for stream in self.running:
            ray.cancel(stream)
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=int(SECONDS_TO_SAVE) + 10)


def _order(stage: Stage, folder: Path, token: str) -> Order:
    # Several launches on one host need ports of their own, and Ray has chosen the GPUs already.
    placed = () if len(stage.launcher) == 1 else ("--main_process_port", "0", "--gpu_ids", "all")
    return Order(
        name=_slug(stage),
        command=(*stage.launcher, *placed, *stage.arguments),
        variables={name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)},
        cwd=Path.cwd(),
        folder=folder.resolve(),
        token=token,
        log=_log_file(folder.resolve(), stage),
    )


def _slug(stage: Stage) -> str:
    return stage.name.replace(" ", "-")


def _log_file(folder: Path, stage: Stage) -> Path:
    return folder / LOGS / f"{_slug(stage)}.log"


def _finished(stage: Stage, seconds: float = SHARED_FOLDER_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not (finished := stage.finished()) and time.monotonic() < deadline:
        time.sleep(1)
    return finished


def _require_shared(order: Order) -> None:
    """Every node reads the token that this process has written."""
    problems = []
    for node in nodes():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        look = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(missing)
        try:
            problems.append(ray.get(look.remote(order), timeout=120))
        except RayError as error:
            problems.append(f"node {node['NodeManagerHostname']} cannot run this project's code: {error}")
    if found := [problem for problem in problems if problem]:
        raise ValueError("\n".join(found))
