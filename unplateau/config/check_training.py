"""What the keys of SOLVER and VALIDATION say together: milestones and length, optimiser, stopping, device."""

import re

from unplateau.config.issues import Check, Issue, note, problem
from unplateau.config.schema import Config

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def _milestones(config: Config) -> list[Issue]:
    solver = config.SOLVER
    if solver.SCHED != "MultiStepLR":
        return []
    ordered = sorted({step for step in solver.STEPS if step >= 1})
    if list(solver.STEPS) != ordered:
        return [problem("SOLVER.STEPS", f"expected epochs from 1 on, ascending. Use {ordered or [40, 90]}.")]
    late = [step for step in solver.STEPS if step >= solver.MAX_EPOCH]
    if late:
        text = f"of which {', '.join(map(str, late))} is never reached, since SOLVER.MAX_EPOCH is {solver.MAX_EPOCH}."
        return [note("SOLVER.STEPS", text, "SOLVER.MAX_EPOCH")]
    return []


def _cosine(config: Config) -> list[Issue]:
    solver = config.SOLVER
    if solver.SCHED != "CosineAnnealingLR":
        return []
    issues = []
    if solver.DELAY_EPOCHS >= solver.MAX_EPOCH:
        text = f"expected less than SOLVER.MAX_EPOCH {solver.MAX_EPOCH}, or the rate never descends. Use 0."
        issues.append(problem("SOLVER.DELAY_EPOCHS", text, "SOLVER.MAX_EPOCH"))
    if solver.BASE_LR > 0 and solver.ETA_MIN_LR > solver.BASE_LR:
        text = f"expected at most SOLVER.BASE_LR {solver.BASE_LR:g}. Use {solver.BASE_LR / 500:g}."
        issues.append(problem("SOLVER.ETA_MIN_LR", text, "SOLVER.BASE_LR"))
    if solver.ON_PLATEAU == "drop":
        issues.append(note("SOLVER.ON_PLATEAU", "but a cosine has no drop to take, so it stops as with stop.", "SOLVER.SCHED"))
    return issues


def _optimiser(config: Config) -> list[Issue]:
    solver = config.SOLVER
    issues = []
    if solver.NESTEROV and solver.OPT == "SGD" and solver.MOMENTUM == 0:
        issues.append(problem("SOLVER.NESTEROV", "which needs momentum, and SOLVER.MOMENTUM is 0. Use 0.9.", "SOLVER.MOMENTUM"))
    if solver.NESTEROV and solver.OPT != "SGD":
        issues.append(note("SOLVER.NESTEROV", f"which {solver.OPT} does not use.", "SOLVER.OPT"))
    if solver.BASE_LR == 0:
        issues.append(note("SOLVER.BASE_LR", "so nothing will be learned; preflight will stop the run."))
    if "" in config.MODEL.FREEZE_LAYERS:
        issues.append(problem("MODEL.FREEZE_LAYERS", "and an empty name stands for every layer. Use [] to freeze nothing."))
    if solver.FREEZE_ITERS and not config.MODEL.FREEZE_LAYERS:
        issues.append(note("SOLVER.FREEZE_ITERS", "but MODEL.FREEZE_LAYERS is empty, so nothing is frozen."))
    return issues


def _validation(config: Config) -> list[Issue]:
    solver, validation = config.SOLVER, config.VALIDATION
    issues = []
    if validation.ON_TEST:
        issues.append(note("VALIDATION.ON_TEST", "so the best epoch is chosen on the test set and its mAP is optimistic."))
    is_blind = validation.HELD_OUT == 0 and not validation.ON_TEST
    if is_blind and (solver.EARLY_STOP_PATIENCE or solver.TARGET_MAP):
        text = "so there is no mAP to stop early on; the run goes to SOLVER.MAX_EPOCH."
        issues.append(note("VALIDATION.HELD_OUT", text))
    if config.TEST.EVAL_PERIOD > 1 and solver.EARLY_STOP_PATIENCE and not is_blind:
        text = "so early stopping and the best epoch see only every such epoch. Use 1."
        issues.append(note("TEST.EVAL_PERIOD", text, "SOLVER.EARLY_STOP_PATIENCE"))
    if config.MODEL.HEADS.NUM_CLASSES and validation.HELD_OUT > 0:
        text = "a number that must agree with the identities trained on, without those held out. Use 0 to have them counted."
        issues.append(note("MODEL.HEADS.NUM_CLASSES", text))
    return issues


def _memory_plan(config: Config) -> list[Issue]:
    solver = config.SOLVER
    name, most = solver.MEMORY_PLAN, solver.IMS_PER_BATCH // 2
    if name.isdigit() and int(name) > most:
        text = f"expected micro-batches of at least 2 images, so at most {most}. Use auto."
        return [problem("SOLVER.MEMORY_PLAN", text, "SOLVER.IMS_PER_BATCH")]
    return []


def _device(config: Config) -> list[Issue]:
    if _DEVICE.fullmatch(config.MODEL.DEVICE):
        return []
    return [problem("MODEL.DEVICE", "expected auto, cpu, cuda, cuda:1 (a number) or mps. Use auto.")]


SCHEDULE_CHECKS: tuple[Check, ...] = (_milestones, _cosine, _optimiser, _validation, _memory_plan, _device)
