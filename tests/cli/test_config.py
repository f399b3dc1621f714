"""`unplateau config`."""

import pytest
import typer
from typer.testing import CliRunner

from unplateau.base.errors import ConfigError, UsageError
from unplateau.cli import config as verb
from unplateau.config.load import load


@pytest.fixture
def run():
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)
    return lambda *words: CliRunner().invoke(app, ["config", *map(str, words)])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("SEED: 3\nSOLVER: {STEPS: [2, 3]}\n")
    return path


def test_show_prints_what_loads_back(run, file, tmp_path):
    result = run("show", file, "SOLVER.BASE_LR", "1e-3")
    assert result.exit_code == 0
    (tmp_path / "shown.yml").write_text(result.stdout)
    assert load(tmp_path / "shown.yml").config == load(file, ["SOLVER.BASE_LR", "0.001"]).config


def test_problems_leave_with_exit_code_2(run, file):
    result = run("show", file, "SEED", "-1")
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
    assert result.exception.problems == [
        "command line: SEED is -1, expected a whole number of 0 or more and below 2147483648. Use, for example, 0 (the default)."
    ]


def test_explain_says_meaning_default_limits_and_the_difference(run):
    output = run("explain", "TEST.EVAL_PERIOD").stdout
    assert "epochs between validations" in output
    assert "default:  1" in output
    assert "expected: a whole number of 1 or more" in output
    assert "fast-reid: 20; here: 1, since early stopping" in output


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("solver.base_lr", "peak learning rate"),
        ("SOLVER.ETA_MIN", "is read as SOLVER.ETA_MIN_LR"),
        ("SOLVER.AMP", "SOLVER.AMP.DTYPE = auto"),
        ("WITH_BNNECK", "MODEL.HEADS.WITH_BNNECK"),
        ("KD", "knowledge distillation is not supported"),
        ("TEST.ROC.ENABLED", "ROC curves are not drawn"),
    ],
)
def test_explain_finds_groups_parts_and_what_is_not_supported(run, key, words):
    assert words in run("explain", key).stdout


def test_explain_suggests(run):
    result = run("explain", "SOLVER.LR")
    assert isinstance(result.exception, UsageError)
    assert "Did you mean SOLVER.BASE_LR?" in str(result.exception)


def test_diff_names_keys_and_both_values(run, file, tmp_path):
    other = tmp_path / "b.yml"
    other.write_text("SEED: 3\nSOLVER: {STEPS: [2, 4]}\n")
    assert run("diff", file, other).stdout == "SOLVER.STEPS: [2, 3] -> [2, 4]\n"
    assert run("diff", file, file).stdout == "The two configurations are equal.\n"


def test_import_writes_a_file_that_means_the_same(run, tmp_path):
    foreign = tmp_path / "theirs.yml"
    foreign.write_text(
        "MODEL: {IF_LABELSMOOTH: 'on'}\nDATALOADER: {SAMPLER: softmax_triplet}\nSOLVER: {MAX_EPOCHS: 70, WARMUP_ITERS: 2}\n"
    )
    ours = tmp_path / "ours.yml"
    result = run("import", foreign, "--output", ours)
    assert result.exit_code == 0, result.exception
    assert "2 epochs, taken as 404 steps" in result.stderr
    assert load(ours).config == load(foreign).config
    assert load(ours).notes == ()
    assert ours.read_text().startswith("# Imported from theirs.yml.\n# Read as a configuration of reid-strong-baseline")
    again = run("import", foreign, "--output", ours)
    assert "is there already" in str(again.exception)
    assert run("import", foreign, "--output", ours, "--overwrite", "--images-per-epoch", "640").exit_code == 0
    assert load(ours).config.SOLVER.WARMUP_ITERS == 20


def test_import_converts_fast_reids_milestones_when_told(run, tmp_path):
    theirs = tmp_path / "theirs.yml"
    theirs.write_text("SOLVER: {STEPS: [40, 90], WARMUP_ITERS: 2000}\n")
    assert run("import", theirs, "-o", tmp_path / "o.yml", "--from", "fast-reid").exit_code == 0
    assert load(tmp_path / "o.yml").config.SOLVER.STEPS == (49, 99)
