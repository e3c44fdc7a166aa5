"""One process group across two hosts: the weights of a single host, and a host that dies midway loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
from two_machines import (
    ROOT,
    killed_and_finished,
    largest_difference,
    obstacle,
    settings,
)

from training.config import parse
from training.run import train

# The harder of the two shipped configs: `python tests/two_machines.py` does the same with the other.
CONFIG = ROOT / "accelerate_configs" / "two_machines_zero3.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.distributed]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := obstacle():
        pytest.skip(reason)
    return tiny_models.byte_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def single_host(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of one process, this one, never disturbed."""
    folder = tmp_path_factory.mktemp("one")
    training = settings(model, folder / "out", folder / "one.yaml", per_device_train_batch_size=8)
    train(*parse(["--config", str(training)]))
    return folder / "out" / "fold-0" / "checkpoint-90"


def test_a_host_killed_midway_costs_nothing_but_time(model: Path, single_host: Path, tmp_path: Path) -> None:
    training = settings(model, tmp_path / "out", tmp_path / "two.yaml")
    outcome = killed_and_finished(CONFIG, training, tmp_path / "out", tmp_path / "logs")
    assert outcome.first_exit_code != 0
    assert outcome.seconds_to_notice < 60
    assert outcome.resumed_from in ("checkpoint-30", "checkpoint-60")
    assert largest_difference(single_host, outcome.checkpoint) < 5e-5
