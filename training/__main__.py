"""`accelerate launch [--config_file accelerate_configs/...] -m training --config FILE | flags`."""

import os
import sys

from harness.startup import collect_seldom

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
collect_seldom()

from training.run import main  # noqa: E402

main(sys.argv[1:])
