"""Measured on live updates: which weights an optimiser's step moves.

What it is
    Weights before and after several updates of a running training, tensor by tensor, beside the gradients the optimiser was
    about to use. Exactly 0 at a rate above 0, with a gradient: the optimiser does not hold these tensors.

Why it happens
    The optimiser was built before the model was moved, wrapped or replaced, or on flat copies (fast-reid with torch >= 2.0);
    layers without requires_grad; a detach() or no_grad() between layers; a gradient scaler that skips every step; a rate of 0.

How it was seen
    fast-reid#750, #700, #704: 90 epochs at the initial loss. Planted as stale_optimizer, optimizer_of_copies, frozen_backbone
    and detached_backbone in our own tests, and found within the first five steps.

What to do
    Compare id(p) of every p in optimizer.param_groups with model.parameters(). Build the optimiser after the model is complete.

Source
    A healthy step moves weights by about 1e-3 of their length (Stanford CS231n). Exactly 0 needs no threshold.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import cures_of
from unplateau.diagnosis.schedule_view import NO_RATE
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "probe weight_motion, live updates"
_FEWEST_UPDATES = 3  # one may be skipped by a scaler, one be at the foot of a warm-up from 0
_STEPS_WITHOUT_UPDATE = 100  # nobody accumulates gradients over more
_CONSTANT = 16  # elements; fewer are a scale, not a layer
_LONG = 0.2  # of the logged points
_HARDLY_ANY = 0.01  # of the configured rate
_HIDDEN = 0.01  # of the elements below the loss; a temperature alone is less
_BEHIND_FEATURES = ("classifier", "cls_layer", "fc", "logits", "neck", "bottleneck")
_HEADS = ("head", "heads", "classifier", "fc", "bottleneck", "cls_layer", "logits", "neck")


def judge_nothing_moves(case: Case) -> Verdict:
    """Fire where no weight moved in any measured update, or the optimiser never stepped."""
    moved, updates = case.measured("tensors_moved").get(""), case.measured("measured_updates").get("", 0.0)
    if case.measured("frozen").get("", 0.0) == 1.0 or case.measured("trainable_tensors").get("") == 0:
        return _nothing("Every layer is frozen", "no parameter asks for a gradient", ("everything-frozen",), "unfreeze")
    steps, optimizer_steps = case.measured("watched_steps").get("", 0.0), case.measured("optimizer_steps").get("", 1.0)
    if optimizer_steps == 0:
        if steps < _STEPS_WITHOUT_UPDATE:
            return Abstained("the optimiser has not stepped yet")
        text = f"the optimiser did not step once in {steps:.0f} training steps"
        return _nothing("The optimiser never steps", text, ("scaler-always-skips", "no-gradient"), "fix_mixed_precision")
    if moved is None or updates < _FEWEST_UPDATES or moved > 0 or _is_rate_gone(case):
        return None
    with_gradient = case.measured("unmoved_with_gradient").get("", 0.0)
    text = f"all weights watched are equal to the bit after {updates:.0f} updates at a learning rate above 0"
    if with_gradient:
        return _nothing("The optimiser does not touch the weights", text, ("stale-optimizer",), "fix_optimizer", *_stale(case))
    missing = Evidence("no weight has a gradient when the optimiser steps", 0.0, None, _SOURCE)
    # some layers ask for a gradient: they are not frozen; or others than these are given it, such as copies that compute
    causes = ("no-gradient", "detached-branch", "stale-optimizer")
    return _nothing("No gradient reaches the weights", text, causes, "restore_gradient", missing)


def judge_rate_zero(case: Case) -> Verdict:
    """Fire where the optimiser steps at a rate of 0."""
    rate, steps = case.measured("highest_rate").get(""), case.measured("optimizer_steps").get("", 0.0)
    if rate is None or rate > 0 or steps < 2 * _FEWEST_UPDATES:
        return None
    return Finding(
        code="learning-rate-zero",
        title="The learning rate is 0",
        severity="pipeline",
        confidence=0.95,
        evidence=(Evidence(f"all parameter groups have rate 0 after {steps:.0f} updates", 0.0, 3.5e-4, "optimiser's groups"),),
        causes=("learning-rate-zero", "schedule-too-fast"),
        refuted_by="a warm-up that leaves 0 with its next epoch",
        next_test="print the rate of each parameter group just before optimizer.step(), at the first and the latest step",
        remedies=("restore_learning_rate", "repair_schedule"),
    )


def judge_only_head(case: Case) -> Verdict:
    """Fire where only head layers move."""
    still, moving = _groups(case)
    if not still or not moving or not all(_is_head(group) for group in moving) or _is_wanted(case, still) or _is_rate_gone(case):
        return None
    if not any(not _is_head(group) for group in still):
        return None
    body = [group for group in still if not _is_head(group)]
    causes, confidence, evidence = _why_still(case, body)
    return Finding(
        code="only-head-trained",
        title="Only the head is trained: the backbone does not move",
        severity="pipeline",
        confidence=confidence,
        evidence=(*evidence, Evidence(f"moving: {', '.join(moving)}", None, None, _SOURCE)),
        causes=causes,
        refuted_by="a freeze of the backbone that is wanted and ends later (FREEZE_ITERS)",
        next_test="list the parameters with requires_grad, and those in optimizer.param_groups",
        remedies=("unfreeze", "fix_optimizer", "restore_gradient"),
    )


def judge_some_layers(case: Case) -> Verdict:
    """Fire where some layers, not the whole backbone, do not move."""
    still, moving = _groups(case)
    if not still or not moving or _is_wanted(case, still) or _is_rate_gone(case) or isinstance(judge_only_head(case), Finding):
        return None
    causes, confidence, evidence = _why_still(case, still)
    if _is_added(case, still):
        causes = (*causes, "pretrained-not-loaded")  # a frozen layer that gives something only with weights of its own
    if causes[0] != "stale-optimizer":  # frozen stems and pretrained layers left over without use are common and harmless
        confidence = 0.6
    return Finding(
        code="layers-not-trained",
        title=f"Not trained: {', '.join(still[:5])}{' ...' if len(still) > 5 else ''}",
        severity="optimisation" if causes[0] == "stale-optimizer" else "info",
        confidence=confidence,
        evidence=evidence,
        causes=causes,
        refuted_by="a freeze that is wanted, or layers that the forward pass does not use",
        next_test="compare the list with the freeze settings, and with the layers the forward pass uses",
        remedies=("unfreeze", "fix_optimizer"),
    )


def _is_rate_gone(case: Case) -> bool:
    """Whether the run ended at next to no rate: then weights are equal to the bit for want of digits."""
    rates = case.curve("learning_rate")
    return rates is not None and bool((rates.y < NO_RATE * rates.y.max()).mean() > _LONG)


def has_hidden_layers(case: Case) -> bool:
    """Whether a probe saw layers that the model does not list: train() and eval() do not reach these."""
    return case.measured("hidden_leaves").get("", 0.0) > _HIDDEN


def judge_hidden(case: Case) -> Verdict:
    """Fire where the loss has a gradient for weights that neither the model nor an optimiser lists."""
    return hidden_layers(case.measured("hidden_leaves").get("", 0.0), confidence=0.9, source="probe unheld_leaves")


def hidden_layers(share: float, *, confidence: float, source: str) -> Finding | None:
    """Return what a share of hidden weights says; None where it is too small to be a layer."""
    if share < _HIDDEN:
        return None
    text = f"{share:.0%} of the weights below the loss are in no optimiser, and not among model.parameters()"
    return Finding(
        code="layers-not-trained",
        title="Layers that the model does not list are not trained",
        severity="pipeline",
        confidence=confidence,
        evidence=(Evidence(text, share, 0.0, source),),
        causes=("layers-frozen", "stale-optimizer"),
        refuted_by="weights outside the model that are kept still on purpose: requires_grad_(False) says so",
        next_test="look for layers in plain lists, dictionaries or closures: they belong in a ModuleList or ModuleDict",
        remedies=("fix_optimizer", "unfreeze"),
    )


def _nothing(title: str, text: str, causes: tuple[str, ...], remedy: str, *more: Evidence) -> Finding:
    return Finding(
        code="weights-not-updated",
        title=title,
        severity="pipeline",
        confidence=0.99 if more or causes == ("everything-frozen",) else 0.9,
        evidence=(Evidence(text, 0.0, 1e-3, _SOURCE), *more),
        causes=causes,
        refuted_by="any weight that differs after an update",
        next_test="compare id(p) of every p in optimizer.param_groups with model.parameters(); look at p.grad before the step",
        remedies=tuple(dict.fromkeys((remedy, *cures_of(causes)))),
    )


def _stale(case: Case) -> tuple[Evidence, ...]:
    held, foreign = case.measured("parameters_held").get(""), case.measured("foreign_tensors").get("", 0.0)
    norm = case.measured("gradient_norm").get("", 0.0)
    found = [Evidence(f"they have gradients: norm {norm:.3g} over the sampled elements", norm, 0.0, _SOURCE)]
    if held is not None and (held < 1 or foreign):
        text = (
            f"the optimiser holds {held:.0%} of the model's trained weights, and {foreign:.0f} tensors that are not the model's"
        )
        found.append(Evidence(text, held, 1.0, "probe optimizer_contents"))
    return tuple(found)


def _groups(case: Case) -> tuple[list[str], list[str]]:
    """Return layer groups that stood still in enough updates, frozen ones included, and groups that moved."""
    updates, moved = case.measured("measured_updates"), case.measured("tensors_moved")
    frozen, elements = case.measured("frozen"), case.measured("elements_watched")
    if max(updates.values(), default=0.0) < _FEWEST_UPDATES:
        return [], []
    layers = below_a_loss(case, [group for group, count in elements.items() if group and count > _CONSTANT])
    still = [g for g in layers if frozen.get(g) == 1.0 or (updates.get(g, 0.0) >= _FEWEST_UPDATES and moved.get(g) == 0.0)]
    return still, [group for group in layers if moved.get(group, 0.0) > 0]


def _why_still(case: Case, groups: list[str]) -> tuple[tuple[str, ...], float, tuple[Evidence, ...]]:
    frozen, stuck = case.measured("frozen"), case.measured("unmoved_with_gradient")
    if any(stuck.get(group, 0.0) for group in groups):
        lines = tuple(Evidence(f"{g}: has a gradient and is equal to the bit", 0.0, 1e-3, _SOURCE) for g in groups[:6])
        if _has_no_rate(case):
            return ("learning-rate-too-low", "learning-rate-zero", "layers-frozen"), 0.85, lines
        if case.measured("parameters_held").get("") == 1.0 and not case.measured("foreign_tensors").get("", 0.0):
            return ("wrong-update", "stale-optimizer", "learning-rate-too-low"), 0.8, lines  # the right tensors, and no step
        return ("stale-optimizer",), 0.97, lines
    if all(frozen.get(group) == 1.0 for group in groups):
        lines = tuple(Evidence(f"{g}: no parameter asks for a gradient", 0.0, None, _SOURCE) for g in groups[:6])
        return ("backbone-frozen", "layers-frozen"), 0.7, lines
    lines = tuple(Evidence(f"{g}: no gradient arrives, equal to the bit", 0.0, 1e-3, _SOURCE) for g in groups[:6])
    return ("detached-branch", "layers-frozen", "backbone-frozen"), 0.9, lines


def _is_added(case: Case, groups: list[str]) -> bool:
    """Whether these layers stand in modules that the configured model does not have."""
    added = [text.split(":")[0] for text in case.measured("modules_differ") if text.endswith("not configured")]
    return bool(added) and all(any(group == path or group.startswith(f"{path}.") for path in added) for group in groups)


def _has_no_rate(case: Case) -> bool:
    """Whether the optimiser holds all weights, and some of them at next to no rate."""
    own, asked = case.measured("setting_trained").get("rate", 1.0), case.measured("setting_configured").get("rate", 1.0)
    furthest = case.measured("rate_furthest").get("", 1.0)
    return case.measured("parameters_held").get("") == 1.0 and min(own, furthest) < _HARDLY_ANY * asked


def _is_wanted(case: Case, groups: list[str]) -> bool:
    wanted = tuple(case.facts.frozen_layers or ())
    return bool(wanted) and all(group.startswith(wanted) for group in groups)


def below_a_loss(case: Case, layers: list[str]) -> list[str]:
    """Return the layers that a loss trains: without the cross-entropy, neck and classifier are there and nothing trains them."""
    if case.facts.cross_entropy_weight != 0:
        return layers
    return [group for group in layers if not any(part in _BEHIND_FEATURES for part in group.lower().split("."))]


def _is_head(group: str) -> bool:
    return any(part in _HEADS for part in group.lower().split("."))
