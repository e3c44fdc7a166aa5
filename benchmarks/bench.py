"""How fast is all this? Every way of doing one thing side by side, in turn, in one run.

    python benchmarks/bench.py models/smollm2-135m runs/bench

Each contest does the same work in several ways: this project's, what others do, and the limit, a bare forward pass over
exactly the positions that are distinct. Ways take turns `--rounds` times after one round that is not counted; a table
and `bench.json` tell medians, spreads, how much faster each way is than the first, and how far answers lie apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from speed.adapters import adapters
from speed.contest import Contest, Outcome, machine_name, table
from speed.masked import masked
from speed.memory import peaks
from speed.scoring import big_vocabulary, likelihoods, prompts
from speed.training import training

from harness.storage.files import atomic_write


def main() -> None:
    """Run the contests that are asked for and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a causal model's folder")
    parser.add_argument("folder", type=Path, help="where table and JSON are written")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    parser.add_argument("--items", type=int, default=100, help="pairs or items a contest, the first")
    parser.add_argument("--only", nargs="+", default=None, help="names of contests; default: all")
    given = parser.parse_args()
    contests: list[Contest] = [
        *likelihoods(given.model, given.items),
        *prompts(given.model, given.items),
        big_vocabulary(given.model, given.items),
        masked(given.items // 4),
        adapters(given.model, given.items),
        training(given.model, given.folder),
    ]
    outcomes: list[Outcome] = []
    for contest in contests:
        if given.only is None or contest.name in given.only:
            outcomes.append(contest.run(given.rounds))
            print(table(outcomes[-1:]), flush=True)
    memory = peaks(given.folder) if given.only is None or "memory" in given.only else []
    machine = f"{machine_name()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}, {platform.system()}"
    told = f"{machine}\n\n{table(outcomes)}\n" + "".join(f"\n{line}" for line in memory)
    atomic_write(given.folder / "bench.md", told)
    content = {"machine": machine, "contests": [one.as_json() for one in outcomes], "memory": memory}
    atomic_write(given.folder / "bench.json", json.dumps(content, indent=1) + "\n")
    print(told)


if __name__ == "__main__":
    main()
