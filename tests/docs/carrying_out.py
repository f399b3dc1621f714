"""Which commands of the pages are carried out, in which order and how shortened, and which cannot be here, and why.

A place is a folder with what the commands name: every configuration of the repository with a small network and few epochs, a
drawn Market-1501, another trainer's log, configuration and checkpoints, pictures of one's own. There they are typed as written.
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from unplateau.config.load import load
from unplateau.models.build import build_model
from unplateau.testing.small_market import Lab

from .reading import ROOT, Command

_WINDOWS = "of Windows; make.bat and the .bat file are looked at in test_guides and tests/cli"
_SHELL = "changes the shell that it is typed in; the place sets REID_DATA itself"
_INSTALLS = "installs packages; `make demo` and `make test` do it before any test can run"
_SETS_UP = "sets up first, which takes minutes"
_CLUSTER = "needs a cluster; tests/search/executors tries what it calls, as far as one machine can"
_LONG = "takes an hour and more; tests/benchmarks and tests/faults try the program itself"

NOT_CARRIED_OUT = {
    "make demo": f"{_SETS_UP}; the story is carried out in tests/workflows/test_demo.py",
    "unplateau demo": "minutes; the story is carried out in tests/workflows/test_demo.py",
    "make test": "this is it",
    "make check": "the first half of `make test`",
    "make.bat demo": _WINDOWS,
    "run_plateau_solutions.bat": _WINDOWS,
    "run_plateau_solutions.bat --halving": _WINDOWS,
    "set REID_DATA=D:\\data": _WINDOWS,
    ".venv\\Scripts\\activate": _WINDOWS,
    "Set-ExecutionPolicy -Scope Process RemoteSigned": _WINDOWS,
    "source .venv/bin/activate": _SHELL,
    "export REID_DATA=/path/to/datasets": _SHELL,
    "export REID_DATA=/data": _SHELL,
    "python3 -m venv .venv": _INSTALLS,
    "pip install -e .": _INSTALLS,
    "pip install torch": _INSTALLS,
    "pip install 'unplateau[submitit]'": _INSTALLS,
    "pip install 'unplateau[ray]'": _INSTALLS,
    "ray start --head": _CLUSTER,
    "ray start --address=HEAD:6379": _CLUSTER,
    "python find_best_model.py --base-config F --executor slurm --workers 8 --slurm slurm_partition=gpu --slurm gpus_per_node=1 "
    "--slurm cpus_per_task=8 --slurm mem_gb=32 --slurm timeout_min=720": _CLUSTER,
    "python find_best_model.py --base-config F --executor ray --ray-address auto --trial-gpus 1 --trial-cpus 8": _CLUSTER,
    "python benchmarks/plateaubench/measure.py --quick": _LONG,
    "python benchmarks/plateaubench/measure.py --seeds 3": _LONG,
    "python benchmarks/plateaubench/measure.py --quick --data pku": _LONG,
    "python benchmarks/plateaubench/measure.py --report-only": "asks for what the two before have recorded",
    "python benchmarks/faults/many_faults.py SCRATCH": _LONG,
    "python benchmarks/fuzz/fuzz.py": _LONG,
}
"""By command, why it is not carried out here."""

_FIRST_RUN = "custom_configs/market1501_mobilenetv2_cpu.yml"
_STALLED = "custom_configs/stalled_run.yml"


@dataclass(frozen=True)
class Rule:
    """What is done with commands of one kind. The order of the rules is that in which they are carried out."""

    pattern: str
    more: str = ""
    """Appended, so that it takes seconds, or leaves the solutions that are tried later as they are; of an option or a key that is
    given twice the last one counts."""
    words: tuple[tuple[str, str], ...] = ()
    """What stands for a placeholder."""
    makes: str = ""
    """What is there afterwards, relative to the place."""


RULES = (
    Rule(r"unplateau (explain|config (explain|show|diff)) ", words=(("F", _STALLED),)),
    Rule(r"unplateau config import my_config.yml --output mine.yml", makes="mine.yml"),
    Rule(r"unplateau config import F --output G --from", words=(("F", "by_hand.yml"), ("G", "from.yml")), makes="from.yml"),
    Rule(r"unplateau config import F --output G$", words=(("F", "my_config.yml"), ("G", "imported.yml")), makes="imported.yml"),
    Rule(r"python solve_plateau.py --log-file docs/examples", makes="my_solutions/solution_1_higher_lr.yml"),
    Rule(r"python solve_plateau.py --checkpoints "),
    Rule(r"python solve_plateau.py --log-file ", "--output-dir solutions_of_log", makes="solutions_of_log"),
    Rule(r"unplateau doctor"),
    Rule(rf"python train_research_grade.py --config-file {_FIRST_RUN} --run-name first_run$",
         makes="logs/market1501/first_run/best_model.pth"),
    Rule(r"python train_research_grade.py .*--run-name N --resume SOLVER.MAX_EPOCH", "SOLVER.STOP_EPOCH 2",
         (("F", _FIRST_RUN), ("N", "first_run"))),
    Rule(r"python train_research_grade.py .*--run-name N --(resume|refit)$", words=(("F", _FIRST_RUN), ("N", "first_run"))),
    Rule(r"python train_research_grade.py .*--run-name N --seeds", "--seeds 2", (("F", _FIRST_RUN), ("N", "seeds"))),
    Rule(r"python train_research_grade.py .*--run-name N --eval-only", words=(("F", "mine.yml"), ("N", "first_run"))),
    Rule(r"python train_research_grade.py --eval-only"),
    Rule(r"python train_research_grade.py .*--resume$"),
    Rule(r"python train_research_grade.py .*--resume SOLVER.MAX_EPOCH", "SOLVER.STOP_EPOCH 3"),
    Rule(r"python train_research_grade.py .*--run-name noise --seeds", "--seeds 2"),
    Rule(r"python train_research_grade.py .*--run-name \w+( [A-Z]\S+ \S+)*$", "SOLVER.STOP_EPOCH 1"),
    Rule(r"python train_research_grade.py .*--refit$", makes="logs/market1501/solution_1_refit/best_model.pth"),
    Rule(r"python solve_plateau.py --run ", "--output-dir solutions_of_run", makes="logs/market1501/first_run/probes.jsonl"),
    Rule(r"./run_plateau_solutions.sh$", makes="logs/plateau_solutions/BEST_MODEL_SELECTION.txt"),
    Rule(r"(\./)?run_plateau_solutions.sh --halving$"),  # decides by what is trained; slices: test_halving
    Rule(r"python find_best_model.py --base-config (custom_configs/stalled_run.yml|F) --output-dir ", "--max-trials 2",
         (("F", _STALLED),),
         makes="logs/hyperparameter_search/BEST_MODEL_SELECTION.txt"),
    Rule(r"python find_best_model.py --base-config custom_configs/Market1501", "--output-dir logs/search_R50 --max-trials 1",
         makes="logs/search_R50/BEST_MODEL_SELECTION.txt"),
    Rule(r"find_best_model.py --base-config F$", "--max-trials 2", (("F", _STALLED),)),
    Rule(r"python find_best_model.py --compare-only --output-dir \S+$", words=(("FOLDER", "logs/market1501"),),
         makes="logs/market1501/BEST_MODEL_SELECTION.txt"),
    Rule(r"(python )?find_best_model.py --compare-only .*--seeds", "--seeds 1", (("FOLDER", "logs/market1501"),),
         makes="logs/market1501/confirmed"),
    Rule(r"unplateau report logs/market1501/\w+$", makes="logs/market1501/first_run/report.html"),
    Rule(r"unplateau report logs/market1501$", makes="logs/market1501/report.html"),
    Rule(r"unplateau export "),
)  # fmt: skip


def rule_of(command: Command) -> Rule | None:
    """The first rule that a command falls under."""
    return next((rule for rule in RULES if re.match(rule.pattern, command.text)), None)


def in_order(found: list[Command]) -> list[tuple[Command, Rule]]:
    """Commands that are carried out, each once, in the order of their rules."""
    once = {command.text: command for command in reversed(found) if command.text not in NOT_CARRIED_OUT}.values()
    ruled = [(command, rule) for command in reversed(once) if (rule := rule_of(command)) is not None]
    return sorted(ruled, key=lambda one: RULES.index(one[1]))


def words_of(command: Command, rule: Rule) -> list[str]:
    """What is typed: the command's words, with what stands for its placeholders, and what shortens it."""
    instead = dict(rule.words)
    return [*(instead.get(word, word) for word in command.words), *shlex.split(rule.more)]


def make_place(place: Path, lab: Lab) -> None:
    """Put into a folder what the commands name."""
    for source in sorted((ROOT / "custom_configs").rglob("*.yml")):
        target = place / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        is_solution = source.parent.name == "plateau_solutions"  # as it is: it changes stalled_run.yml, which is small here
        target.write_text(source.read_text(encoding="utf-8") if is_solution else _small(source, lab), encoding="utf-8")
    for name in ("docs/examples/stalled_run.csv", "run_plateau_solutions.sh"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    (place / "by_hand.yml").write_text("SOLVER: {STEPS: [40, 90], WARMUP_ITERS: 2000}\n", encoding="utf-8")
    (place / "path" / "to").mkdir(parents=True)
    (place / "path" / "to" / "log.txt").write_text(_foreign_log(), encoding="utf-8")
    _own_pictures(place / "my_people")
    _foreign_model(place)


def _small(source: Path, lab: Lab) -> str:
    """A configuration that changes the one of the repository: small pictures and network, one epoch."""
    data = "" if source.name.startswith("minimarket") else f"DATASETS: {{ROOT: '{lab.root.as_posix()}'}}\n"
    epochs = 2 if source.name == "stalled_run.yml" else 1
    return (
        f"_BASE_: '{source.as_posix()}'\n"
        "MODEL: {DEVICE: cpu, BACKBONE: {NAME: build_tiny_backbone, PRETRAIN: false}}\n"
        "INPUT: {SIZE_TRAIN: [32, 16], SIZE_TEST: [32, 16]}\n"
        f"SOLVER: {{MAX_EPOCH: {epochs}, WARMUP_ITERS: 2, AMP: {{ENABLED: false}}}}\n"
        "VALIDATION: {HELD_OUT: 0.25, MIN_IDENTITIES: 6}\n"
        f"DATALOADER: {{NUM_WORKERS: 0, CACHE_DIR: '{lab.cache.as_posix()}'}}\n{data}"
    )


def _foreign_log() -> str:
    """The log of a healthy training as fast-reid writes it, with a drop of the rate."""
    lines = [
        "[11/23 08:01:57] fastreid.data.datasets.bases INFO: => Loaded Market1501 in csv format:",
        "| train    | 751     | 12936      | 6           |",
    ]
    for epoch in range(30):
        cross_entropy, rate = 6.72 - 5.0 * (1 - 0.9**epoch), 3.5e-4 if epoch < 20 else 3.5e-5
        lines.append(
            f"[11/23 08:02:18] fastreid.utils.events INFO:  eta: 0:02:46  epoch/iter: {epoch}/{200 * (epoch + 1) - 1}  "
            f"total_loss: {cross_entropy + 0.5:.3f}  loss_cls: {cross_entropy:.3f}  loss_triplet: 0.500  time: 0.0824  "
            f"data_time: 0.0060  lr: {rate:.2e}  "
        )
    return "\n".join(lines) + "\n"


def _own_pictures(folder: Path) -> None:
    """Pictures as docs/guides/custom_data.md lays them out: two cameras, test persons apart, two dozen to train on."""
    many = tuple(f"person_{number}" for number in range(24))
    people = {"train": many, "query": ("emma", "fred"), "gallery": ("emma", "fred", "gina")}
    for split, persons in people.items():
        for number, person in enumerate(persons):
            for shot in range(4):
                path = folder / split / person / f"cam{shot % 2 + 1}_{shot:04d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 32), (10 * number, 40 * shot, 120)).save(path)


def _foreign_model(place: Path) -> None:
    """Another code base's configuration, a model of it, and two checkpoints an epoch apart, of which one has moved."""
    (place / "my_config.yml").write_text(_FOREIGN, encoding="utf-8")
    config = load(place / "my_config.yml").config
    model = build_model(config, num_identities=0, num_cameras=0, with_weights=False).model
    torch.save({"model": model.state_dict()}, place / "path" / "to" / "model.pth")
    weights = {"backbone.conv1.weight": torch.ones(8, 3, 3, 3), "heads.weight": torch.ones(24, 8)}
    torch.save({"model": weights}, place / "epoch_10.pth")
    torch.save({"model": {name: value + 0.01 for name, value in weights.items()}}, place / "epoch_11.pth")


_FOREIGN = """\
MODEL:
  NAME: 'resnet18'
  PRETRAIN_CHOICE: 'imagenet'
  METRIC_LOSS_TYPE: 'triplet'
  IF_LABELSMOOTH: 'on'
INPUT:
  SIZE_TRAIN: [32, 16]
  SIZE_TEST: [32, 16]
  RE_PROB: 0.5
DATASETS:
  NAMES: ('market1501')
DATALOADER:
  SAMPLER: 'softmax_triplet'
  NUM_INSTANCE: 4
SOLVER:
  OPTIMIZER_NAME: 'Adam'
  MAX_EPOCHS: 120
  BASE_LR: 0.00035
  STEPS: [40, 70]
TEST:
  NECK_FEAT: 'after'
  FEAT_NORM: 'yes'
"""
"""As reid-strong-baseline writes it, for small pictures."""
