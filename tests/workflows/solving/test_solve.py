"""`solve_plateau.py` end to end: on the numbers that were asked about, on real healthy logs, and on hard input."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from unplateau.base.errors import RecordError, UsageError, WeightsError
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.workflows.diagnosing.diagnose import Sources, gather
from unplateau.workflows.solving.solve import SolveRequest, solve

ROOT = Path(__file__).parents[3]
MARKET = LogFacts(num_identities=751, margin=0.3, batch_size=16)
CURVES = ROOT / "benchmarks" / "results" / "protocol" / "curves"


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """27 epochs within CE 6.71-6.73 and triplet 2.7-2.9 at rate 0.00035."""
    generator = np.random.default_rng(0)
    rows = [f"{epoch},{generator.uniform(6.71, 6.73):.3f},{generator.uniform(2.7, 2.9):.3f},0.00035" for epoch in range(3, 30)]
    path = tmp_path / "numbers.csv"
    path.write_text("epoch,ce,triplet,lr\n" + "\n".join(rows) + "\n")
    return path


def _solve(tmp_path: Path, sources: Sources, **more) -> tuple[str, object]:
    said: list[str] = []
    solved = solve(SolveRequest(sources, output_dir=tmp_path / "out", **more), said.append)
    return "\n".join(said), solved


def test_the_numbers_that_were_asked_about_are_named_from_the_log_alone(tmp_path, numbers):
    symptom = "AssertionError: No inf checks were recorded for this optimizer. AMP turned off after that."
    text, solved = _solve(tmp_path, Sources(numbers, facts=MARKET, symptoms=[symptom]))
    first = solved.diagnosis.first
    assert first.code == "weights-not-updated"
    assert first.causes[0] == "stale-optimizer"
    assert first.evidence[0].landmark == pytest.approx(6.724, abs=5e-4)
    assert "6.71-6.73" in text
    assert "6.724" in text
    assert "Changing the learning rate is explicitly not recommended" in " ".join(text.split())
    assert "--checkpoints A B" in first.next_test
    assert "--checkpoints A B" in text


def test_the_symptom_is_optional_and_adds_confidence(numbers):
    without = diagnose(gather(Sources(numbers, facts=MARKET))).first
    with_it = diagnose(gather(Sources(numbers, facts=MARKET, symptoms=["No inf checks were recorded for this optimizer"]))).first
    assert without.code == with_it.code == "weights-not-updated"
    assert with_it.confidence > without.confidence


def test_every_solution_but_the_cure_says_that_it_treats_nothing(tmp_path, numbers):
    _, solved = _solve(tmp_path, Sources(numbers, facts=MARKET))
    assert solved.solutions[0].name == "solution_6_fix_optimizer"
    assert all(not solution.treats for solution in solved.solutions if solution.name[9] in "12345")
    header = (tmp_path / "out" / "solution_1_higher_lr.yml").read_text()
    assert "Treats none of the findings: the first is weights-not-updated" in header


def test_a_broken_pipeline_is_mended_before_any_experiment(tmp_path, numbers):
    text, _ = _solve(tmp_path, Sources(numbers, facts=MARKET))
    todo = " ".join(text.split("WHAT TO DO NOW")[1].split())
    assert todo.index("--checkpoints A B") < todo.index("contiguous=False") < todo.index("solution_6_fix_optimizer")
    assert "run_plateau_solutions" not in todo


def test_no_solution_is_recommended_to_a_run_that_needs_none(tmp_path):
    path = tmp_path / "healthy.csv"
    rows = [f"{e},{1 + 5.7 * 0.9**e:.3f},{0.2 + 2.6 * 0.9**e:.3f},{0.8 - 0.78 * 0.9**e:.4f}" for e in range(1, 30)]
    path.write_text("epoch,ce,triplet,mAP\n" + "\n".join(rows) + "\n")
    text, solved = _solve(tmp_path, Sources(path, facts=MARKET))
    assert solved.diagnosis.is_healthy
    todo = text.split("WHAT TO DO NOW")[1]
    assert "No cure is called for" in todo
    assert "train_research_grade.py" not in todo


def test_what_a_run_has_already_is_not_written_as_a_solution(tmp_path, numbers):
    (tmp_path / "config.yml").write_text("SOLVER:\n  SCHED: CosineAnnealingLR\n")
    text, solved = _solve(tmp_path, Sources(numbers, facts=MARKET))
    assert solved.left_out == ("solution_2_cosine_annealing",)
    assert not (tmp_path / "out" / "solution_2_cosine_annealing.yml").exists()
    assert "Not written: solution_2_cosine_annealing. The run has SOLVER.SCHED = CosineAnnealingLR already" in text


def _run_folder(folder: Path, *, epochs: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text("SOLVER:\n  BASE_LR: 0.0001\n")
    (folder / "log.txt").write_text("")
    lines = [{"epoch": e, "steps": 10 * e, "learning_rate": 1e-4, "total_loss": 9.0, "losses": {}} for e in range(1, epochs + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_newest_run_with_a_finished_epoch_is_taken_and_what_is_passed_over_is_said(tmp_path):
    older = _run_folder(tmp_path / "logs" / "older", epochs=2)
    newer = _run_folder(tmp_path / "logs" / "newer", epochs=0)
    for place, folder in enumerate((older, newer)):
        for file in folder.iterdir():
            os.utime(file, (1e9 + place, 1e9 + place))
    text, solved = _solve(tmp_path, Sources(), logs=tmp_path / "logs")
    assert solved.diagnosis is not None
    assert f"{newer} has no finished epoch yet" in text
    assert f"with a finished epoch: {older}" in text


def test_with_no_finished_epoch_anywhere_the_five_are_written(tmp_path):
    _run_folder(tmp_path / "logs" / "begun", epochs=0)
    text, solved = _solve(tmp_path, Sources(), logs=tmp_path / "logs")
    assert solved.diagnosis is None
    assert len(solved.solutions) == 5
    assert "has no finished epoch yet" in text


def _network() -> torch.nn.Module:
    return torch.nn.ModuleDict(
        {
            "backbone": torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 8)),
            "heads": torch.nn.Linear(8, 30),
        }
    )


def _save_pair(tmp_path: Path, change) -> tuple[Path, Path]:
    torch.manual_seed(0)
    network = _network()
    paths = tmp_path / "model_0001.pth", tmp_path / "model_0002.pth"
    torch.save({"model": network.state_dict(), "epoch": 1}, paths[0])
    with torch.no_grad():
        change(network)
    torch.save({"model": network.state_dict(), "epoch": 2}, paths[1])
    return paths


def _only_statistics(network: torch.nn.Module) -> None:
    network["backbone"](torch.randn(16, 8))


def _only_head(network: torch.nn.Module) -> None:
    network["heads"].weight.add_(0.1)
    network["heads"].bias.add_(0.1)


def _everything(network: torch.nn.Module) -> None:
    for parameter in network.parameters():
        parameter.add_(0.01 * torch.randn_like(parameter))


def test_two_checkpoints_with_equal_weights_are_the_proof(tmp_path, numbers):
    pair = _save_pair(tmp_path, _only_statistics)
    text, solved = _solve(tmp_path, Sources(numbers, pair, facts=MARKET))
    assert solved.diagnosis.first.code == "weights-not-updated"
    assert solved.diagnosis.first.confidence >= 0.99
    assert "Proven: the weights are not updated" in text
    assert "batch-norm statistics did change" in " ".join(text.split())


def test_checkpoints_alone_are_enough_of_a_proof(tmp_path):
    first = diagnose(gather(Sources(checkpoints=_save_pair(tmp_path, _only_statistics)))).first
    assert (first.code, first.severity) == ("weights-not-updated", "pipeline")


def test_a_moved_head_on_a_still_backbone_is_a_frozen_backbone(tmp_path):
    first = diagnose(gather(Sources(checkpoints=_save_pair(tmp_path, _only_head)))).first
    assert (first.code, first.causes[0]) == ("only-head-trained", "backbone-frozen")


def test_moved_weights_refute_the_suspicion_of_the_log(tmp_path, numbers):
    diagnosis = diagnose(gather(Sources(numbers, _save_pair(tmp_path, _everything), facts=MARKET)))
    assert "weights-not-updated" not in {finding.code for finding in diagnosis.findings}


def test_a_checkpoint_that_would_run_code_is_refused_with_the_reason(tmp_path):
    good, bad = _save_pair(tmp_path, _everything)
    bad.write_bytes(pickle.dumps({"model": subprocess.Popen}))
    with pytest.raises(WeightsError, match="plain tensors"):
        gather(Sources(checkpoints=(good, bad)))


def test_the_same_checkpoint_twice_is_refused(tmp_path):
    good, _ = _save_pair(tmp_path, _everything)
    with pytest.raises(UsageError, match="two different files"):
        gather(Sources(checkpoints=(good, good)))


def test_a_best_model_that_is_the_final_one_too_is_no_proof_of_anything(tmp_path):
    good, copy = _save_pair(tmp_path, _everything)
    copy.write_bytes(good.read_bytes())
    with pytest.raises(UsageError, match="both of epoch 1"):
        gather(Sources(checkpoints=(good, copy)))


def test_checkpoints_of_two_networks_are_refused(tmp_path):
    good, other = _save_pair(tmp_path, _everything)
    torch.save({"something.else": torch.zeros(3)}, other)
    with pytest.raises(WeightsError, match="no tensor in common"):
        gather(Sources(checkpoints=(good, other)))


@pytest.mark.skipif("REID_FIELD" not in os.environ, reason="set REID_FIELD to a folder with logs/fast-reid_healthy")
@pytest.mark.parametrize("name", ["metrics.json", "log.txt"])
def test_a_real_healthy_run_raises_no_alarm_at_any_of_its_points(name):
    import dataclasses

    case = gather(Sources(Path(os.environ["REID_FIELD"]) / "logs" / "fast-reid_healthy" / name))
    for length in range(1, len(case.log.points) + 1):
        part = dataclasses.replace(case, log=dataclasses.replace(case.log, points=case.log.points[:length]))
        diagnosis = diagnose(part)
        assert not diagnosis.is_alarm, (length, [finding.code for finding in diagnosis.findings])


@pytest.mark.skipif(not list(CURVES.glob("*.jsonl")), reason="the protocol experiment's curves are not recorded here")
@pytest.mark.parametrize("facts", [LogFacts(num_identities=751), LogFacts(num_identities=751, margin=0.3, max_epochs=90)])
def test_recorded_healthy_curves_show_no_broken_pipeline(facts):
    for path in sorted(CURVES.glob("*.jsonl")):
        diagnosis = diagnose(gather(Sources(path, facts=facts)))
        assert not diagnosis.is_pipeline_broken, (path.name, diagnosis.first)


def test_without_anything_it_writes_the_five_and_says_what_to_pass(tmp_path):
    text, solved = _solve(tmp_path, Sources(), logs=tmp_path / "nothing")
    assert len(solved.solutions) == 5
    assert solved.diagnosis is None
    for option in ("--run", "--log-file", "--checkpoints", "--symptom"):
        assert option in text


def test_what_is_missing_is_asked_for_by_name(tmp_path, numbers):
    text, _ = _solve(tmp_path, Sources(numbers))
    assert "--num-identities" in text
    assert "people in the training set (751 for Market-1501)" in text


def test_the_json_holds_findings_evidence_and_solutions(tmp_path, numbers):
    _solve(tmp_path, Sources(numbers, facts=MARKET), json=tmp_path / "findings.json")
    found = json.loads((tmp_path / "findings.json").read_text())
    assert found["findings"][0]["code"] == "weights-not-updated"
    assert found["pipeline_broken"] is True
    assert found["table"][0]["current"] == "6.71-6.73"
    assert {solution["name"] for solution in found["solutions"]} >= {"solution_1_higher_lr", "solution_6_fix_optimizer"}


def test_the_configuration_beside_a_log_is_the_base_of_the_solutions(tmp_path, numbers):
    (tmp_path / "config.yml").write_text("SOLVER:\n  BASE_LR: 0.0001\n  IMS_PER_BATCH: 64\n")
    _, solved = _solve(tmp_path, Sources(numbers, facts=MARKET))
    deltas = {solution.name: solution.delta for solution in solved.solutions}
    assert deltas["solution_1_higher_lr"] == {"SOLVER.BASE_LR": 0.0002}
    assert "_BASE_: ../config.yml" in (tmp_path / "out" / "solution_1_higher_lr.yml").read_text()


def test_a_run_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no run of this trainer"):
        _solve(tmp_path, Sources(), run=tmp_path)


def _command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "solve_plateau.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_the_script_leaves_with_0_1_or_2_and_never_with_a_traceback(tmp_path, numbers):
    done = _command("--log-file", str(numbers), "--num-identities", "751", "--output-dir", "out", cwd=tmp_path)
    assert (done.returncode, "weights-not-updated" in done.stdout) == (0, True)
    (tmp_path / "poem.txt").write_text("The woods are lovely\n" * 3)
    unknown = _command("--log-file", "poem.txt", cwd=tmp_path)
    missing = _command("--log-file", "nowhere.txt", cwd=tmp_path)
    wrong = _command("--margin", "-1", cwd=tmp_path)
    assert (unknown.returncode, missing.returncode, wrong.returncode) == (1, 2, 2)
    assert "Traceback" not in unknown.stderr + missing.stderr + wrong.stderr


def test_a_log_is_diagnosed_without_torch(tmp_path, numbers):
    program = (
        "import sys; from unplateau.cli.main import main\n"
        f"main_args = ['solve', '--log-file', {str(numbers)!r}, '--num-identities', '751', '--output-dir', 'out']\n"
        "try:\n    main(main_args)\nexcept SystemExit as end:\n    assert not end.code\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_log_without_numbers_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n,\n")
    with pytest.raises(RecordError):
        gather(Sources(path))
