"""`python -m harness` is the `stereoscope` command, for launchers of modules: `accelerate launch -m harness`."""

import os

if os.environ.get("RANK", "0") != "0":
    # One process of a launch draws the progress bars; tqdm reads this once, when it is imported.
    os.environ["TQDM_DISABLE"] = "1"

from harness.machine.run_module import leave_working_folder

leave_working_folder()

from harness.cli import main  # noqa: E402 - imports more than is safe before

main()
