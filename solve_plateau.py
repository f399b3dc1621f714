"""Say why a training is stalled and write solutions; the same as `unplateau solve`."""

import sys

from unplateau.cli.main import main

if __name__ == "__main__":
    main(["solve", *sys.argv[1:]])
