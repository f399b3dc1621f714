"""PlateauBench on a few drawn patterns instead of MiniMarket: what it counts, that it resumes, that faults can be planted."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from made_stories import done, made_story

from benchmarks.plateaubench import diagnosing, measure, planning, probing
from benchmarks.plateaubench.backbones import CHANGES
from benchmarks.plateaubench.baselines import BASELINES
from benchmarks.plateaubench.diagnosing import Answer, answers, probed_case
from benchmarks.plateaubench.experiment import Batches, build
from benchmarks.plateaubench.faults_of_config import configured_plan
from benchmarks.plateaubench.halves import CALIBRATION, half
from benchmarks.plateaubench.healthy import HEALTHY
from benchmarks.plateaubench.planning import FAULTS, Planned, full_plan, quick_plan
from benchmarks.plateaubench.probing import Probing
from benchmarks.plateaubench.repair import repairs
from benchmarks.plateaubench.training import known_before_probing, run
from unplateau.base.errors import DataError
from unplateau.diagnosis.causes import BY_CODE
from unplateau.workflows.probing.planned_probes import PLAN


def short(changes: dict | None = None) -> dict:
    return {"SOLVER.MAX_EPOCH": 3, "SOLVER.WARMUP_ITERS": 0, "SOLVER.STEPS": (2,), **(changes or {})}


def test_every_fault_names_causes_of_the_published_vocabulary():
    for planted in FAULTS:
        assert planted.causes and planted.causes <= set(BY_CODE), planted.name
        assert planted.severity in ("mild", "severe")


def test_names_of_faults_and_of_healthy_kinds_are_distinct():
    assert len({planted.name for planted in FAULTS}) == len(FAULTS)
    assert len({kind.name for kind in HEALTHY}) == len(HEALTHY) >= 30
    assert len({planted.kind for planted in FAULTS}) >= 30


def test_the_calibration_half_holds_real_kinds_and_about_half_of_them():
    kinds = {planted.kind for planted in FAULTS}
    assert kinds >= CALIBRATION
    assert 0.4 < len(CALIBRATION) / len(kinds) < 0.7
    assert half("a kind from outside") == "held out"


NEEDS_MORE_IDENTITIES = ("identities_merged/6", "one_image_each")  # than the short experiment's 16 leave


@pytest.mark.slow
@pytest.mark.parametrize("planted", FAULTS, ids=lambda planted: planted.name)
def test_every_fault_can_be_planted_and_leaves_a_training_that_runs_or_breaks_by_itself(planted):
    broken = build(short(), seed=1)
    planted.inject(broken)
    broken.model.train()
    if planted.name in NEEDS_MORE_IDENTITIES:
        with pytest.raises(DataError, match="identities a step"):
            next(Batches(broken).epoch(1))
        return
    batch = next(Batches(broken).epoch(1))
    broken.schedule.apply(broken.optimizers, 0)
    terms = broken.step(broken.parts(), batch)
    assert torch.isfinite(terms.total)
    if planted.name == "cameras_alike":
        with pytest.raises(DataError, match="camera"):
            broken.evaluator.score(broken)
        return
    assert 0 <= broken.evaluator.score(broken).metrics.mAP <= 1


@pytest.mark.parametrize("kind", HEALTHY, ids=lambda kind: kind.name)
def test_every_healthy_kind_is_a_valid_recipe(kind):
    assert planning.build(kind.changes).config.SOLVER.MAX_EPOCH > 0


@pytest.mark.parametrize("name", CHANGES)
def test_faults_of_layers_find_them_in_every_network(name):
    dead, frozen = (
        next(planted for planted in FAULTS if planted.name == kind) for kind in ("dead_units/all", "frozen_backbone/part")
    )
    experiment, untouched = Planned("fault", dead.name, 1, dead, backbone=name).build()
    changed = [
        p for p, q in zip(experiment.model.parameters(), untouched.model.parameters(), strict=True) if not torch.equal(p, q)
    ]
    assert len(changed) == 2
    experiment = Planned("fault", frozen.name, 1, frozen, backbone=name).build()[0]
    still = [parameter for parameter in experiment.model.backbone.parameters() if not parameter.requires_grad]
    assert 0.5 < len(still) / len(list(experiment.model.backbone.parameters())) < 0.9


@pytest.mark.parametrize("planned", configured_plan(), ids=lambda planned: planned.name)
def test_a_mistake_in_the_configuration_is_told_as_a_fact_and_its_cure_changes_the_mistake(planned):
    broken, right = planned.build()
    assert broken.config == right.config != build(seed=1).config
    assert planned.fault.causes <= set(BY_CODE)


def test_a_cure_is_added_to_the_mistake_that_it_cures():
    planned = next(planned for planned in configured_plan() if planned.name == "configured_smoothing")
    answer = Answer(True, (("label-smoothing-too-strong",),), 0.85, ("label-smoothing-too-strong",), ("less_label_smoothing",))
    (repair,) = repairs(replace(done("fault", "any", 0.1, answer), planned=planned))
    assert repair.planned.healthy.changes == {"MODEL.LOSSES.CE.EPSILON": 0.1}


def test_runs_of_another_network_are_kept_apart():
    assert len({planning.identity(name) for name in CHANGES}) == len(CHANGES)


def test_a_run_without_a_fault_differs_from_the_next_seed_and_repeats_itself():
    first, again, other = (next(Batches(build(short(), seed=seed)).epoch(1)) for seed in (1, 1, 2))
    assert torch.equal(first.images_BCHW, again.images_BCHW)
    assert not torch.equal(first.person_ids_B, other.person_ids_B)


@pytest.mark.slow
def test_a_planted_stale_optimizer_is_proven_from_its_story_alone():
    broken, right = build(short(), seed=1), build(short(), seed=1)
    next(planted for planted in FAULTS if planted.name == "stale_optimizer").inject(broken)
    story = json.loads(json.dumps(asdict(run(broken, facts_of=right, make_probing=Probing))))
    found = answers(story)
    assert [line["epoch"] for line in story["log"]] == [1, 2, 3]
    assert found["checkpoints"].codes[0] == "weights-not-updated"
    assert found["probes"].ranked[0][0] == "stale-optimizer"
    assert all(ask(story) for ask in BASELINES.values())


@pytest.mark.slow
def test_probing_again_from_a_kept_state_measures_what_probing_did_then(tmp_path):
    planted = next(fault_ for fault_ in FAULTS if fault_.name == "gradients_accumulate")
    broken, right = build(short(), seed=1), build(short(), seed=1)
    planted.inject(broken)
    story = asdict(run(broken, facts_of=right, make_probing=Probing, keep_at=tmp_path / "state.pth"))
    anew = build(short(), seed=1)
    planted.inject(anew)
    again = Probing(anew)
    again.take_state(tmp_path / "state.pth")
    values = [
        {(m["name"], m["group"]): m["value"] for round_ in rounds for m in round_["measurements"]}
        for rounds in (story["probes"], [asdict(round_) for round_ in again.rounds(known_before_probing(story))])
    ]
    names = ("gradient_delivered", "label_agreement", "map_of_queries", "overfit_last_loss")
    for name in names:
        assert values[0][name, ""] == pytest.approx(values[1][name, ""], rel=1e-4), name
    assert values[0]["gradient_delivered", ""] > 1.5


@pytest.mark.slow
def test_probing_until_sure_ends_where_judging_would_and_goes_on_when_rules_are_no_longer_sure(tmp_path, monkeypatch):
    planted = next(fault_ for fault_ in FAULTS if fault_.name == "stale_optimizer")
    monkeypatch.setattr(planning, "CHANGES", {"tiny": short()})
    planned = Planned("fault", planted.name, 1, planted)
    broken, right = planned.build()
    state = tmp_path / planned.state_file
    story = asdict(run(broken, facts_of=right, make_probing=Probing, keep_at=state, until_sure=True))
    story = json.loads(json.dumps(story))
    assert len(story["probes"]) < len(PLAN)
    assert answers(story)["probes"].ranked[0][0] == "stale-optimizer"
    planning.keep(story, tmp_path / planned.file)
    measure._probe_missing([planned], tmp_path)
    assert planning.read(tmp_path / planned.file) == story
    for module in (measure, diagnosing, probing):
        monkeypatch.setattr(module, "sure_finding", lambda diagnosis: None)
    measure._probe_missing([planned], tmp_path)
    assert [round_["name"] for round_ in planning.read(tmp_path / planned.file)["probes"]] == [p.name for p in PLAN]


def test_probing_stops_where_the_diagnosis_is_sure_and_counts_the_seconds_until_then():
    proof = [
        {"name": n, "value": v} for n, v in (("tensors_moved", 0.0), ("measured_updates", 5.0), ("unmoved_with_gradient", 4.0))
    ]
    rounds = [
        {"name": "idle", "seconds": 1.0, "measurements": []},
        {"name": "motion", "seconds": 2.0, "measurements": proof},
        {"name": "never reached", "seconds": 100.0, "measurements": []},
    ]
    case, seconds = probed_case({**asdict(made_story()), "probes": rounds})
    assert seconds == 3.0
    assert {m.name for m in case.measurements} == {"tensors_moved", "measured_updates", "unmoved_with_gradient"}


def test_every_kind_comes_once_before_any_comes_twice():
    plan = list(full_plan(FAULTS, seeds=2, healthy_seeds=3))
    first_second = next(place for place, planned in enumerate(plan) if planned.seed == 2 and planned.name != "base")
    assert {planned.name for planned in plan[:first_second]} == {planned.name for planned in plan}
    assert sum(planned.group == "healthy" for planned in plan) == 10 + 3 * (len(HEALTHY) - 1)
    assert len({planned.file for planned in plan}) == len(plan)


def test_the_quick_plan_has_each_kind_once_and_the_full_one_ten_bases_and_over_a_hundred_healthy_runs():
    quick = list(quick_plan(FAULTS))
    kinds = [planned.fault.kind for planned in quick if planned.fault]
    assert sorted(kinds) == sorted({planted.kind for planted in FAULTS})
    full = list(full_plan(FAULTS, seeds=3))
    assert sum(planned.group == "healthy" for planned in full) >= 100
    assert sum(planned.group == "healthy" and planned.name == "base" for planned in full) == 10
    assert len({planned.file for planned in full}) == len(full)


def test_finished_runs_are_not_done_again(tmp_path, monkeypatch, capsys):
    names = []
    monkeypatch.setattr(measure, "run", lambda experiment, **_: names.append("run") or made_story())
    options = ["--quick", "--only", "base", "--work", str(tmp_path / "work"), "--results", str(tmp_path / "out")]
    assert measure.main(options) == 0
    assert len(names) == 5
    assert measure.main(options) == 0
    assert len(names) == 5
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["false_alarms"]["probes"]["of"] == 5
    assert "PlateauBench, quick" in capsys.readouterr().out
