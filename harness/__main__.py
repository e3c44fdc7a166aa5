"""`python -m harness` is the `stereoscope` command, for launchers of modules: `accelerate launch -m harness`."""

import os

if os.environ.get("RANK", "0") != "0":
    # One process of a launch draws the progress bars; tqdm reads this once, when it is imported.
    os.environ["TQDM_DISABLE"] = "1"

from harness.cli import main

main()
