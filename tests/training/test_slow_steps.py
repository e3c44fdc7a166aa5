"""Training whose steps are slower than `hang_seconds`: a single process waits for nobody, and is never ended for it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from harness.machine.watch import Watch
from training.run import main
from training.trainer import PairTrainer

HANG_SECONDS = 0.1


@pytest.mark.parametrize("kind", ["llama", "bert", "t5"])
def test_one_process_takes_steps_of_three_times_hang_seconds(
    kind: str, tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss: Any = PairTrainer.compute_loss

    def slow_loss(*arguments: Any, **options: Any) -> Tensor:
        time.sleep(3 * HANG_SECONDS)
        return loss(*arguments, **options)

    ended: list[str] = []
    monkeypatch.setattr(PairTrainer, "compute_loss", slow_loss)
    monkeypatch.setattr(Watch, "_end", lambda watch, wrong, blamed: ended.append(wrong))
    monkeypatch.setattr("harness.machine.watch.TICK", HANG_SECONDS / 4)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("training.run.start_logging", lambda: None)
    monkeypatch.setattr("training.run.exit_with_run", lambda: None)
    monkeypatch.setattr("training.run.stop_with_launcher", lambda: None)
    flags = {
        "model_name_or_path": tiny(kind),
        "output_dir": tmp_path,
        "data_dir": "sample",
        "num_folds": 3,
        "folds": 0,
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "hang_seconds": HANG_SECONDS,
    }
    main([word for key, value in flags.items() for word in (f"--{key}", str(value))])
    assert not ended
    assert json.loads((tmp_path / "fold-0" / "trained.json").read_text())["steps"] == 3
