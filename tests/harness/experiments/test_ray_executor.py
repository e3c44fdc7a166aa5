"""`stereoscope run --executor ray` on a real cluster of two nodes: the same report, with a node killed midway too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
import ray
import yaml
from hostile_folder import STEREOSCOPE, imported, write_own_modules
from in_this_process import Here
from tiny_models import byte_llama

from harness.experiments.experiment import run
from harness.experiments.ray_executor import RayExecutor
from harness.experiments.ray_worker import Order, missing
from harness.experiments.stage import Needs, Stage

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from kill_twenty_times import timeless

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
SMALL = {"object_store_memory": 100 << 20}
pytestmark = [pytest.mark.slow, pytest.mark.distributed]


@contextmanager
def in_the_background() -> Iterator[None]:
    """What starts inside ignores SIGINT, as the background jobs of a script do."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that takes no stages and a node of one CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        with in_the_background():
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SMALL})
            cluster.add_node(num_cpus=1, **SMALL)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def executor(cluster: Any) -> Iterator[RayExecutor]:
    """This process as the driver of runs on two CPUs."""
    with in_the_background():
        node = cluster.add_node(num_cpus=1, **SMALL)
    yield RayExecutor(cluster.address)
    ray.shutdown()
    cluster.remove_node(node)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    content = {
        "name": "tiny",
        "data_dir": "sample",
        "models": [{"name": "tiny", "pretrained": str(byte_llama(folder / "model"))}],
        "tasks": ["crows_pairs", "wikitext2"],
        "scoring": {"limits": {"wikitext2": 2}},
        "training": {
            "num_folds": 3,
            "folds": [0],
            "max_steps": 80,
            "save_strategy": "steps",
            "save_steps": 40,
            "per_device_train_batch_size": 4,
            "disable_tqdm": True,
        },
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def local_report(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("local") / "out"
    run(experiment, out, executor=Here())
    return timeless(out / "report")


def command(experiment: Path, out: Path, *more: str) -> list[str]:
    return [*STEREOSCOPE, "run", str(experiment), "--output_dir", str(out), *more]


def start(experiment: Path, out: Path, cluster: Any, working_folder: Path) -> subprocess.Popen[str]:
    arguments = command(experiment, out, "--executor", "ray", "--address", cluster.address)
    return subprocess.Popen(arguments, env=ENVIRONMENT, cwd=working_folder, stderr=subprocess.PIPE, text=True)


def read_until(stream: IO[str] | None, *words: str) -> str:
    assert stream is not None
    for line in stream:
        if all(word in line for word in words):
            return line
    raise AssertionError(f"the run ended without a message of {words}")


def wait_for(path: Path, pattern: str) -> None:
    deadline = time.monotonic() + 120
    while not list(path.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern} in {path}"
        time.sleep(0.1)


def test_a_run_whose_node_is_killed_in_training_ends_with_the_local_runs_report(
    cluster: Any, experiment: Path, local_report: Any, tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=1, **SMALL)
    out = tmp_path / "out"
    own_modules = write_own_modules(tmp_path / "mine")
    run = start(experiment, out, cluster, own_modules)
    node = read_until(run.stderr, "train tiny: started on")
    wait_for(out / "tiny" / "training" / "fold-0", "checkpoint-*/manifest.json")
    by_name = {one.node_id[:8]: one for one in cluster.worker_nodes}
    (its,) = (one for name, one in by_name.items() if name in node)
    cluster.remove_node(its, allow_graceful=False)
    output = run.communicate()[1]
    assert run.returncode == 0, output
    assert "train tiny: lost with its machine, started again" in output
    assert "fold 0: resuming from checkpoint-" in (out / "logs" / "train-tiny.log").read_text()
    assert timeless(out / "report") == local_report
    assert imported(own_modules) == []


def stage(folder: Path, name: str, code: str = "", after: tuple[str, ...] = (), gpus: int = 0) -> Stage:
    """Runs Python code with `folder` at hand, and is finished when it has written a file of its name."""
    file = folder / name

    def progress() -> int:
        return len(list(folder.glob(f"progress of {name}*")))

    program = f"import pathlib, sys, time; folder = pathlib.Path({str(folder)!r})\n{code}\n(folder / {name!r}).touch()"
    return Stage(name, (sys.executable,), ("-c", program), Needs(1, gpus), file.is_file, lambda: None, progress, after)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_an_address_without_a_cluster_says_how_to_start_one(address: str) -> None:
    with pytest.raises(RuntimeError, match=rf"no Ray cluster at {address}.*ray start --head"):
        RayExecutor(address)


def test_models_are_treated_at_once_and_the_stages_of_each_in_order(executor: RayExecutor, tmp_path: Path) -> None:
    wait = "(folder / '{0} is here').touch()\nwhile not (folder / '{1} is here').exists(): time.sleep(0.1)"
    stages = [
        stage(tmp_path, "a", wait.format("a", "b")),
        stage(tmp_path, "then a", "assert (folder / 'a').exists()", after=("a",)),
        stage(tmp_path, "b", wait.format("b", "a")),
        stage(tmp_path, "then b", "assert (folder / 'b').exists()", after=("b",)),
    ]
    executor.run(stages, tmp_path, 0)
    assert all(one.finished() for one in stages)


def test_a_stage_that_fails_is_told_with_its_last_words_and_the_other_models_go_on(
    executor: RayExecutor, tmp_path: Path
) -> None:
    stages = [
        stage(tmp_path, "bad", "print('out of luck'); sys.exit(3)"),
        stage(tmp_path, "after bad", after=("bad",)),
        stage(tmp_path, "good"),
        stage(tmp_path, "after good", after=("good",)),
    ]
    with pytest.raises(RuntimeError) as error:
        executor.run(stages, tmp_path, 0)
    assert "[1/5] bad: failed with exit code 3" in str(error.value)
    assert "out of luck" in str(error.value)
    assert "Not started, since they wait for these: [2/5] after bad" in str(error.value)
    assert [one.finished() for one in stages] == [False, False, True, True]


def test_a_stage_that_fails_starts_again_as_long_as_it_comes_further(executor: RayExecutor, tmp_path: Path) -> None:
    code = "done = len(list(folder.glob('progress*')))\n(folder / f'progress of a {min(done, 1)}').touch()\nsys.exit(5)"
    with pytest.raises(RuntimeError, match="exit code 5"):
        executor.run([stage(tmp_path, "a", "print('once')\n" + code)], tmp_path, 9)
    # Further at the first attempt and the second, and not at the third.
    assert (tmp_path / "logs" / "a.log").read_text().splitlines() == ["once"] * 3


def test_a_stage_that_no_node_has_room_for_is_refused_before_anything_starts(
    executor: RayExecutor, tmp_path: Path
) -> None:
    stages = [stage(tmp_path, "small"), stage(tmp_path, "large", gpus=2)]
    with pytest.raises(ValueError, match=r"large needs 1 CPUs and 2 GPUs of one node.*have 0 and 0, 1 and 0"):
        executor.run(stages, tmp_path, 0)
    assert not stages[0].finished()


def test_stopping_the_run_lets_its_stages_save_what_they_have(executor: RayExecutor, tmp_path: Path) -> None:
    save = "(time.sleep(1), (folder / 'saved').touch(), sys.exit(1))"
    code = (
        f"import signal; signal.signal(signal.SIGTERM, lambda *_: {save})\n(folder / 'ready').touch()\ntime.sleep(60)"
    )

    def interrupt() -> None:
        wait_for(tmp_path, "ready")
        signal.raise_signal(signal.SIGINT)

    # The background job of a shell, which a test run may be, ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        executor.run([stage(tmp_path, "long", code)], tmp_path, 0)
    signal.signal(signal.SIGINT, before)
    assert (tmp_path / "saved").exists()


def test_a_node_that_sees_another_folder_of_the_same_name_is_told(executor: RayExecutor, tmp_path: Path) -> None:
    (tmp_path / ".token").write_text("of the node itself")
    order = Order("a", (sys.executable,), {}, tmp_path, tmp_path, "of the run", tmp_path / "log")
    look = ray.remote(num_cpus=0)(missing)
    assert "has another" in ray.get(look.remote(order))
    assert "cannot read" in ray.get(look.remote(replace(order, folder=tmp_path / "nowhere")))
    assert "no Python at /none" in ray.get(look.remote(replace(order, command=("/none",))))
    assert ray.get(look.remote(replace(order, token="of the node itself"))) is None
