"""`accelerate launch [--config_file accelerate_configs/...] -m training --config FILE | flags`."""

import os
import sys

from harness.machine.run_module import leave_working_folder
from harness.machine.startup import imports_uncollected

if __name__ == "__main__":
    leave_working_folder()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from harness.terminal.bars import bars_on_terminals_only
    from harness.terminal.logs import start_logging
    from harness.terminal.printable import printable

    bars_on_terminals_only()
    start_logging()
    with imports_uncollected():
        from training.run import main

    try:
        main(sys.argv[1:])
    except TimeoutError as error:
        print(f"stereoscope: {printable(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(
            "stereoscope: stopped by Ctrl-C; every complete checkpoint stays, and the same command goes on from the "
            "newest",
            file=sys.stderr,
        )
        sys.exit(130)
