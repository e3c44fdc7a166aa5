"""`python -m harness` is the `stereoscope` command, for launchers of modules: `accelerate launch -m harness`."""

from harness.cli import main

main()
