"""Two hosts on this one, as network namespaces, and one training run across them; needs Linux, root and iproute2.

    python tests/two_machines.py OUTPUT_DIR --config accelerate_configs/two_machines_ddp.yaml

trains a tiny model on both, kills one of them midway, starts both again, and compares with a run on a single host.
Each host has its own network stack, loopback device, host name and /etc/hosts; they share the file system.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DEVICE = "veth0"
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = "29500"
HANG_SECONDS = 240


@dataclass(frozen=True)
class Host:
    """A network namespace with a host name and an address of its own."""

    name: str
    address: str

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command on this host, output into `log`."""
        named = ("unshare", "--uts", "sh", "-c", f'hostname {self.name} && exec "$@"', "sh")
        variables = {**os.environ, "GLOO_SOCKET_IFNAME": DEVICE, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with log.open("wb") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *named, *command],
                cwd=ROOT,
                env=variables,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """End all processes on this host at once, as a power cut does."""
        for pid in _ip("netns", "pids", self.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def obstacle() -> str | None:
    """Why there can be no two hosts here; None if there can."""
    if missing := [tool for tool in ("ip", "unshare") if shutil.which(tool) is None]:
        return f"{' and '.join(missing)} not installed (packages iproute2, util-linux)"
    try:
        with two_hosts():
            return None
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other and nothing else.

    Raises:
        subprocess.CalledProcessError: they cannot be made here.
    """
    first, second = (Host(f"stereoscope-{os.getpid()}-{number}", address) for number, address in enumerate(ADDRESSES))
    try:
        for host in (first, second):
            _ip("netns", "add", host.name)
            # `ip netns exec` puts what is in here over /etc.
            etc = Path("/etc/netns") / host.name
            etc.mkdir(parents=True)
            names = "".join(f"{one.address} {one.name}\n" for one in (first, second))
            (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}", encoding="utf-8")
        _ip("link", "add", DEVICE, "netns", first.name, "type", "veth", "peer", "name", DEVICE, "netns", second.name)
        for host in (first, second):
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", DEVICE)
            for device in ("lo", DEVICE):
                _ip("-n", host.name, "link", "set", device, "up")
        yield first, second
    finally:
        for host in (first, second):
            if (Path("/run/netns") / host.name).exists():
                host.kill()
                _ip("netns", "delete", host.name)
            shutil.rmtree(Path("/etc/netns") / host.name, ignore_errors=True)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def settings(model: Path, output_dir: Path, file: Path, **more: Any) -> Path:
    """Write the settings of a short training run; returns their file."""
    content = {
        "model_name_or_path": str(model),
        "output_dir": str(output_dir),
        "data_dir": "sample",
        "num_folds": 3,
        "folds": [0],
        "max_steps": 90,
        "save_strategy": "steps",
        "save_steps": 30,
        "per_device_train_batch_size": 4,
        "learning_rate": 0.001,
        # tests/training/test_run.py says why.
        "adam_epsilon": 1e-6,
        "disable_tqdm": True,
        **more,
    }
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def launch(config: Path, *shape: str) -> list[str]:
    """`accelerate launch` with a config and what is said over it."""
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), *shape, "-m", "training"]


def train_on_one(config: Path, training: Path) -> None:
    """Train on this machine alone."""
    command = [*launch(config, "--main_process_port", "0"), "--config", str(training)]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"training on one host failed:\n{done.stderr[-3000:]}")


def start_on_two(hosts: Sequence[Host], config: Path, training: Path, logs: Path) -> list[subprocess.Popen[bytes]]:
    """Start one process group across the hosts: the same command on each, but for its rank."""
    logs.mkdir(parents=True, exist_ok=True)
    processes = []
    for rank, host in enumerate(hosts):
        shape = ("--machine_rank", str(rank), "--main_process_ip", hosts[0].address, "--main_process_port", PORT)
        command = [*launch(config, "--num_machines", "2", "--num_processes", "2", *shape), "--config", str(training)]
        processes.append(host.start(command, logs / f"{rank}.log"))
    return processes


def end_of(processes: Sequence[subprocess.Popen[bytes]], seconds: float = HANG_SECONDS) -> list[int]:
    """Exit codes of both hosts' launchers.

    Raises:
        subprocess.TimeoutExpired: one does not end.
    """
    return [process.wait(seconds) for process in processes]


def wait_for(file: Path, processes: Sequence[subprocess.Popen[bytes]], seconds: float = HANG_SECONDS) -> None:
    """Wait until a file is there.

    Raises:
        RuntimeError: the processes ended, or the time was up, before it was.
    """
    deadline = time.monotonic() + seconds
    while not file.exists():
        if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
            raise RuntimeError(f"{file} did not appear")
        time.sleep(0.05)


@dataclass(frozen=True)
class Outcome:
    """What a run did whose second host was killed."""

    seconds_to_notice: float
    first_exit_code: int
    resumed_from: str
    checkpoint: Path


def killed_and_finished(config: Path, training: Path, output_dir: Path, logs: Path) -> Outcome:
    """Train on two hosts, kill the second after the first checkpoint, and start both again."""
    fold = output_dir / "fold-0"
    with two_hosts() as hosts:
        processes = start_on_two(hosts, config, training, logs / "killed")
        wait_for(fold / "checkpoint-30" / "manifest.json", processes)
        hosts[1].kill()
        killed = time.monotonic()
        first_exit_code = processes[0].wait(HANG_SECONDS)
        noticed = time.monotonic() - killed
    with two_hosts() as hosts:
        codes = end_of(start_on_two(hosts, config, training, logs / "finished"))
    told = (logs / "finished" / "0.log").read_text(encoding="utf-8")
    if codes != [0, 0]:
        raise RuntimeError(f"the run that was started again ended with {codes}:\n{told[-3000:]}")
    resumed = next((line for line in told.splitlines() if "resuming from" in line), "from nothing")
    return Outcome(noticed, first_exit_code, resumed.rpartition(" ")[2], fold / "checkpoint-90")


def largest_difference(one: Path, two: Path) -> float:
    """Between the weights of two checkpoints of the same names and shapes, absolute."""
    from safetensors.torch import load_file

    left, right = (load_file(next(folder.glob("*model.safetensors"))) for folder in (one, two))
    if left.keys() != right.keys():
        raise ValueError(f"{one} and {two} hold different weights: {sorted(left.keys() ^ right.keys())[:5]}")
    return max(float((left[name] - right[name]).abs().max()) for name in left)


def main() -> None:
    """Run one configuration and print what came of it."""
    import tiny_models

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--config", type=Path, default=ROOT / "accelerate_configs" / "two_machines_ddp.yaml")
    args = parser.parse_args()
    if reason := obstacle():
        sys.exit(f"two hosts cannot be made here: {reason}")
    out: Path = args.output_dir.resolve()
    model = tiny_models.byte_llama(out / "model")
    alone = ROOT / "accelerate_configs" / "cpu_2proc.yaml"
    train_on_one(alone, settings(model, out / "one", out / "one.yaml"))
    training = settings(model, out / "two", out / "two.yaml")
    outcome = killed_and_finished(args.config.resolve(), training, out / "two", out / "logs")
    difference = largest_difference(out / "one" / "fold-0" / "checkpoint-90", outcome.checkpoint)
    print(
        f"{args.config.stem}: the other host noticed after {outcome.seconds_to_notice:.1f} s and ended with "
        f"{outcome.first_exit_code}; started again from {outcome.resumed_from}; weights differ by {difference:.1e} at "
        "most from a run on one host"
    )


if __name__ == "__main__":
    main()
