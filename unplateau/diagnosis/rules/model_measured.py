"""The model that trains is not the one that the configuration asks for.

What it is
    A second model is built from the configuration and given the weights of the first. Modules, their settings and the output of
    each on one batch are compared, in evaluation and in training mode with the same random draws.

Why it happens
    A head that is replaced after the model was built, a hook that was left in, another activation or pooling, dropout where none
    is configured, batch normalisation put into evaluation mode, a margin in another unit.

How it was seen
    Weights alone do not show it: a checkpoint loads without a message. Planted in our benchmark in a dozen ways.

What to do
    Print the model beside one that was built anew, and look at the first module whose output differs.

Source
    Differential testing; thresholds ours. Healthy models agree in every module.
"""

from __future__ import annotations

import math

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import cures_of
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "model-not-as-configured"
_SOURCE = "probe model_as_configured"
_RANDOM, _ZEROS = 0.01, 0.01
_OTHER_LENGTH, _FAR_LONGER = 2.0, 10.0  # times
_LOADED = 0.1  # of the tensors; a classifier of another number of people is not loaded
_AFFINE = 0.999  # of the variance of each channel
_GONE, _SAME_WAY, _SAME_LENGTH = 0.02, 0.98, 0.05
_RANK_LEFT = 0.6  # of the effective rank that the configured model's output has
_EXCHANGED = 0.5  # of the images changed places, and their labels did not; healthy models have none
_Known = tuple[float, tuple[str, ...]]


def judge(case: Case) -> Verdict:
    """Fire where a module is another, is set otherwise, or gives something else."""
    modules = [group for group in case.measured("modules_differ") if group]
    outputs = {group: value for group, value in case.measured("output_differs").items() if group}
    if not modules and not outputs:  # an unused module changes the outputs, or does not matter
        return None
    unused = unused_modules(case)
    known = [_of_module(text) for text in modules] or [_of_output(case, next(iter(outputs)))]
    confidence, causes = max(known, key=lambda entry: entry[0]) if not unused else _NEVER_CALLED
    lines = [Evidence(f"{path}: has weights and is never called", None, None, _SOURCE) for path in unused]
    lines += [Evidence(text, None, None, _SOURCE) for text in modules]
    lines += [Evidence(f"{where}: the output differs by {value:.0%}", value, 0.0, _SOURCE) for where, value in outputs.items()]
    return Finding(
        code=CODE,
        title="The model that trains is not the configured one",
        severity="pipeline",
        confidence=confidence,
        evidence=tuple(lines),
        causes=causes,
        refuted_by="a change of the model that is meant",
        next_test="print the model beside one that is built from the configuration anew",
        remedies=("repair_model", *cures_of(causes)),
    )


def unused_modules(case: Case) -> tuple[str, ...]:
    """Return modules whose weights the forward pass never uses, where the configured model's does."""
    return tuple(path for path in case.measured("modules_unused") if path)


def judge_backward(case: Case) -> Verdict:
    """Fire where outputs are as configured and the way back from them is not."""
    ratio, gone = case.measured("model_gradient_ratio").get(""), case.measured("model_gradient_gone").get("", 0.0)
    cosine = case.measured("model_gradient_cosine").get("", 0.0)
    if (
        ratio is None
        or not math.isfinite(ratio)
        or (gone < _GONE and cosine > _SAME_WAY and 1 - _SAME_LENGTH < ratio < 1 + _SAME_LENGTH)
    ):
        return None
    cut = gone >= _GONE
    what = (
        f"tensors with {gone:.0%} of its square get exactly 0"
        if cut
        else f"its cosine is {cosine:.2f}, its length {ratio:.3g} times"
    )
    return Finding(
        code="gradient-not-of-losses",
        title="The model gives the right outputs and hands back another gradient",
        severity="pipeline",
        confidence=0.85 if cut else 0.7,
        evidence=(Evidence(f"beside the configured model's gradient: {what}", gone if cut else ratio, None, _SOURCE),),
        causes=("detached-branch", "no-gradient", *(() if cut else ("gradient-clipped-away",))),
        refuted_by="a stop-gradient that is meant",
        next_test="backward from one output of this model and of one built anew, and compare the gradients layer by layer",
        remedies=("restore_gradient", "repair_model"),
    )


def judge_start(case: Case) -> Verdict:
    """Fire where a training began with weights of another size than its configuration and seed give."""
    share, lengths = case.measured("initial_weights_differ").get(""), case.measured("initial_length")
    off = {name: ratio for name, ratio in lengths.items() if not 1 / _OTHER_LENGTH < ratio < _OTHER_LENGTH}
    pretrained = case.measured("pretrained_asked").get("", 0.0) > 0
    if not share or not (off or (pretrained and share > _LOADED)):
        return None
    lines = [Evidence(f"{share:.0%} of the tensors did not begin with the configured weights", share, 0.0, _SOURCE)]
    lines += [Evidence(f"{name} began {ratio:.2g} times as long", ratio, 1.0, _SOURCE) for name, ratio in off.items()]
    # where norms follow, longer weights are turned less by the same step: van Laarhoven 2017, equation 9
    longer = sum(ratio > _FAR_LONGER for ratio in off.values()) > len(off) / 2
    rate = ("learning-rate-too-low",) if longer else ()
    causes = ("pretrained-not-loaded",) if pretrained else ("dead-units", *rate, "pretrained-not-loaded", "wrong-head")
    return Finding(
        code=CODE,
        title="The training did not begin with the configured weights",
        severity="pipeline",
        confidence=0.9 if pretrained else 0.7,
        evidence=tuple(lines),
        causes=causes,
        refuted_by="an initialisation of your own that is meant",
        next_test="print the norm of every weight before the first step beside those of a model built anew",
        remedies=("reinitialise", "load_pretrained"),
    )


def _of_module(text: str) -> _Known:
    """Return confidence and causes for "path: what differs"."""
    return next((known for part, known in _MODULES if part.lower() in text.lower()), _UNKNOWN)


def _of_output(case: Case, where: str) -> _Known:
    """Return confidence and causes for the first module whose output differs: "mode: path (class)"."""
    confidence, causes = _of_mode(case, where)
    if where.startswith("evaluation") and not any(w.startswith("training") for w in case.measured("output_differs")):
        return confidence, (*causes, "evaluation-preprocessing")  # whatever it is, it is done for the evaluation alone
    return confidence, causes


def _is_passed_by(case: Case, where: str) -> bool:
    """Whether no gradient arrives at the weights of the first module whose output differs: its output is not used."""
    path = where.partition(": ")[2].partition(" (")[0]
    still = case.measured("tensors_moved").get(path, 1.0) == 0 and case.measured("measured_updates").get(path, 0.0) > 0
    return still and case.measured("unmoved_with_gradient").get(path, 1.0) == 0


def _of_mode(case: Case, where: str) -> _Known:
    if _is_passed_by(case, where):
        return _PASSED_BY
    if case.measured("rows_exchanged").get(where, 0.0) > _EXCHANGED:
        return 0.85, ("wrong-head",) if "classifier" in where else ("labels-shuffled", "wrong-head")
    if case.measured("input_differs").get(where, 0.0) > 0:
        if case.measured("input_explained").get(where, 0.0) > _AFFINE:
            return 0.85, ("inputs-not-normalised",)
        return 0.7, ("augmentation-too-strong", "inputs-not-normalised")
    only_in_training = where.startswith("training")
    if case.measured("output_zeros").get(where, 0.0) > _ZEROS:
        if only_in_training or case.measured("output_random").get(where, 0.0) > _RANDOM:
            return 0.85, ("dropout-too-strong",) if only_in_training else ("dropout-too-strong", "evaluated-in-train-mode")
        if "classifier" not in where:
            return 0.8, ("embedding-too-small", "dead-units") if "pooling" in where else ("dead-units",)
    if "classifier" in where:
        return 0.85, ("wrong-head", "softmax-before-ce", "missing-cosine-scale")
    if case.measured("output_random").get(where, 0.0) > _RANDOM:
        return 0.7, ("dropout-too-strong", "augmentation-too-strong")
    if case.measured("output_rank").get(where, 1.0) < _RANK_LEFT:
        return 0.85, ("embedding-too-small", "dead-units")
    if only_in_training and "Norm" in where:
        return 0.85, ("batch-norm-in-eval", "batch-too-small")
    return next((known for part, known in _OUTPUTS if part in where), _UNKNOWN)


_NEVER_CALLED: _Known = (0.85, ("layers-frozen", "embedding-too-small"))
_PASSED_BY: _Known = (0.7, ("layers-frozen", "detached-branch", "dead-units"))
_UNKNOWN: _Known = (0.6, ("dead-units", "embedding-too-small", "wrong-head"))
_MODULES: tuple[tuple[str, _Known], ...] = (
    ("margin", (0.85, ("margin-wrong", "wrong-head"))),
    ("classifier", (0.85, ("wrong-head", "missing-cosine-scale", "margin-wrong"))),
    ("momentum", (0.85, ("batch-norm-in-eval",))),
    ("Dropout", (0.85, ("dropout-too-strong",))),
    ("_dim", (0.85, ("embedding-too-small", "wrong-head"))),
    ("head.reduction", (0.85, ("embedding-too-small", "wrong-head"))),
    ("Norm2d shared", (0.7, ("batch-norm-in-eval", "stale-weights-evaluated"))),  # its running statistics are those of no layer
    ("Norm", (0.7, ("batch-norm-in-eval", "batch-too-small"))),
    ("head.neck", (0.7, ("batch-norm-in-eval", "wrong-head"))),
    ("head.pooling", (0.6, ("embedding-too-small", "wrong-head"))),
    ("head", (0.7, ("wrong-head", "embedding-too-small"))),
)
"""What a difference says, the first that fits."""
_OUTPUTS: tuple[tuple[str, _Known], ...] = (
    ("head.pooling", (0.6, ("embedding-too-small", "wrong-head"))),
    ("head.neck", (0.7, ("wrong-head", "missing-cosine-scale"))),
    ("head", (0.7, ("wrong-head", "embedding-too-small"))),
)
