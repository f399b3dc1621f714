"""python train_research_grade.py --config-file F --run-name N [KEY VALUE ...]: the same as `unplateau train`."""

import sys

from unplateau.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
