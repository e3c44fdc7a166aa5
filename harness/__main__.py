"""`python -m harness` is the `stereoscope` command, for launchers of modules: `accelerate launch -m harness`."""

from harness.machine.run_module import leave_working_folder

leave_working_folder()

from harness.cli import main  # noqa: E402 - imports more than is safe before

main()
