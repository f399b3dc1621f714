"""Compare runs, or search hyper-parameters, and name the best model; the same as `unplateau find-best`."""

import sys

from unplateau.cli.main import main

if __name__ == "__main__":
    main(["find-best", *sys.argv[1:]])
