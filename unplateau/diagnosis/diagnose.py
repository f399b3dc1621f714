"""Asks every rule, merges and ranks what they found, and says what hyper-parameters can and cannot do."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import BY_CODE, cures_of
from unplateau.diagnosis.measured_settings import with_settings
from unplateau.diagnosis.rules.table import RULES
from unplateau.diagnosis.rules.unknown import unknown
from unplateau.diagnosis.track_record import LIKELY, PROVEN, as_recorded
from unplateau.diagnosis.verdict import Abstained, Rule, Verdict
from unplateau.runs.record import Finding

_PIPELINE_FIRST = {"pipeline": 0, "optimisation": 1, "data": 1, "generalisation": 2, "info": 3}
_KNOWN = 0.8  # a measured cause this sure explains the symptoms below, where they are less sure than itself
_SYMPTOMS = (
    "batch-not-learnable", "images-ignored", "collapsed-embeddings", "uniform-logits", "dead-units", "nothing-to-learn",
    "fitting-noise", "learning-rate-too-low", "learning-rate-too-high", "overfitting", "labels-have-twins",
    "classifier-not-trained", "losses-in-conflict", "losses-unbalanced", "diverged", "evaluation-broken",
    "evaluation-not-repeated", "steps-too-small", "only-head-trained", "weights-barely-move", "softmax-before-ce",
    "batch-norm-not-updated",
)  # fmt: skip
"""What many causes look like. A finding of these codes that names its cause for sure counts as a cause."""
_SURE_OF_CAUSE = 0.75  # from here on a finding has excluded other causes
_NEARLY_SURE, _ABOUT_EQUAL = 0.9, 0.15  # of the record: a few faults more or less right are chance
_DOUBT = 0.8  # two sure causes that have nothing in common: one of them is a consequence, or both are mild
_HEALTHY = ("still-improving", "undecided", "in-warm-up", "before-drop", "finished")

NO_HYPER_PARAMETER = (
    "No hyper-parameter will help until this is fixed: {why} "
    "Changing the learning rate is explicitly not recommended, and comparing runs would compare broken ones."
)
_WHY = {
    "weights-not-updated": "a learning rate multiplies a step that is never taken.",
    "nothing-learned": "whatever is tuned, nothing reaches the weights, or there is nothing to learn from.",
    "only-head-trained": "the features that retrieval ranks do not change, whatever rate the head is trained with.",
    "evaluation-broken": "what is measured does not depend on what is trained.",
}
_BROKEN = "the pipeline is broken before any hyper-parameter acts."


@dataclass(frozen=True)
class Abstention:
    """A rule that could not judge, and what it lacks."""

    code: str
    reason: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """Ranked findings, and what could not be judged."""

    findings: tuple[Finding, ...]
    abstentions: tuple[Abstention, ...]

    @property
    def first(self) -> Finding | None:
        """The most important finding."""
        return self.findings[0] if self.findings else None

    @property
    def is_pipeline_broken(self) -> bool:
        """Whether something that no hyper-parameter can cure is likely."""
        return self.first is not None and self.first.severity == "pipeline" and self.first.confidence >= LIKELY

    @property
    def is_alarm(self) -> bool:
        """Whether anything but health, a note, or not knowing was found."""
        return self.first is not None and self.first.severity != "info" and self.first.confidence >= LIKELY

    @property
    def is_healthy(self) -> bool:
        """Whether the first finding says that nothing needs a cure: it goes on, waits for its drop, or is done."""
        return self.first is not None and self.first.code in _HEALTHY and self.first.code != "undecided"

    @property
    def missing(self) -> tuple[str, ...]:
        """Options that would let more rules judge, without repeats."""
        return tuple(dict.fromkeys(name for abstention in self.abstentions for name in abstention.missing))

    def about_hyper_parameters(self) -> str:
        """Return what hyper-parameters can do here, in a sentence."""
        first = self.first
        if first is None or first.code in ("unknown", "undecided"):
            return "Nothing is known yet that speaks for or against changing a hyper-parameter."
        if self.is_pipeline_broken:
            return NO_HYPER_PARAMETER.format(why=_WHY.get(first.code, _BROKEN))
        if first.code in _HEALTHY:
            return "No change is called for by this log; the five solutions are experiments, not cures."
        return "The pipeline shows no fault, so changes of hyper-parameters are real experiments here."


def diagnose(case: Case) -> Diagnosis:
    """Return what the rules find in a case, the pipeline before hyper-parameters, the likely before the possible."""
    verdicts = [(rule, rule.judge(case)) for rule in RULES]
    findings = [_by_hand(f, case) for f in _merged([verdict for _, verdict in verdicts if isinstance(verdict, Finding)])]
    abstentions = tuple(_abstention(rule, verdict) for rule, verdict in verdicts if isinstance(verdict, Abstained))
    if not findings:
        fallback = unknown(case)
        findings = [fallback] if fallback is not None else []
    kept = _consistent(findings)
    if not case.measurements:  # the record was counted where things had been measured; of a log alone it says nothing
        pairs = [(finding, finding) for finding in kept]
    else:
        pairs = [(finding, as_recorded(finding)) for finding in kept]
    ranked = sorted(pairs, key=lambda pair: _rank(pair[0], pair[1].confidence))
    places = _places(verdicts)
    return Diagnosis(tuple(with_settings(_placed(told, places), case) for _, told in ranked), abstentions)


def _places(verdicts: list[tuple[Rule, Verdict]]) -> dict[str, tuple[str, ...]]:
    """Return for each finding's code the parts of the training in which its rules saw the fault."""
    places: dict[str, tuple[str, ...]] = {}
    for rule, verdict in verdicts:
        if isinstance(verdict, Finding) and rule.places:
            places[rule.code] = tuple(dict.fromkeys((*places.get(rule.code, ()), *rule.places)))
    if "wrong-model" in places.get("model-not-as-configured", ()):
        # layers that the network passes by are not trained, and what it computes otherwise it may score otherwise
        places |= dict.fromkeys(("layers-not-trained", "evaluation-broken"), ("wrong-model",))
    if "images-not-of-files" in places:  # neither training nor evaluation shows what is in the files
        places |= dict.fromkeys(("preparation-differs", "evaluation-not-repeated"), places["images-not-of-files"])
    return places


def _placed(finding: Finding, places: dict[str, tuple[str, ...]]) -> Finding:
    """Name the place: before causes that are possible, after a cause that is nearly sure."""
    words = tuple(word for word in places.get(finding.code, ()) if word not in finding.causes)
    if not words:
        return finding
    is_sure, cures = finding.confidence >= _SURE_OF_CAUSE, cures_of(words)
    causes = (*finding.causes, *words) if is_sure else (*words, *finding.causes)
    kept = 1 if is_sure else 0  # remedies that come before the place's
    return replace(finding, causes=causes, remedies=tuple(dict.fromkeys((*finding.remedies[:kept], *cures, *finding.remedies))))


def _abstention(rule: Rule, verdict: Abstained) -> Abstention:
    return Abstention(rule.code, verdict.reason, verdict.missing)


def _merged(findings: list[Finding]) -> list[Finding]:
    """One finding a code: the surest speaks, the evidence of all stands below it, and causes that any of them rules out go."""
    by_code: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda finding: -finding.confidence):
        known = by_code.get(finding.code)
        if known is None:
            by_code[finding.code] = finding
        else:
            by_code[finding.code] = _narrowed(replace(known, evidence=(*known.evidence, *finding.evidence)), finding.causes)
    return list(by_code.values())


def _narrowed(finding: Finding, causes: tuple[str, ...]) -> Finding:
    """Keep what both sets of causes name, in the order of the smaller set; its cures are then the remedies."""
    first, second = sorted((causes, finding.causes), key=len)
    both = tuple(cause for cause in first if cause in second)
    if not both or set(both) == set(finding.causes):
        return finding
    return replace(finding, causes=both, remedies=cures_of(both))


def _by_hand(finding: Finding, case: Case) -> Finding:
    """A configured rate above 0 needs no other value: whoever sets it to 0 does."""
    if not case.facts.base_learning_rate or "restore_learning_rate" not in finding.remedies:
        return finding
    remedies = tuple("repair_rate" if name == "restore_learning_rate" else name for name in finding.remedies)
    return replace(finding, remedies=remedies)


def _consistent(findings: list[Finding]) -> list[Finding]:
    """Leave out what a likely finding explains: flatness by a broken pipeline, symptoms by a cause that was found."""
    likely = [finding for finding in findings if finding.severity != "info" and finding.confidence >= LIKELY]
    explained: tuple[str, ...] = ()
    if any(finding.severity == "pipeline" for finding in likely):
        explained = ("plateau", "uniform-logits", "fitting-noise", "learning-rate-too-low", "learning-rate-too-high", *_HEALTHY)
    elif any(finding.severity == "optimisation" for finding in likely):
        explained = ("finished",)  # with that mended there is something left to gain
    kept = [finding for finding in findings if finding.code not in explained]
    if any(finding.confidence >= _KNOWN and not is_symptom(finding) for finding in likely):
        kept = [finding for finding in kept if finding.severity == "info" or not is_symptom(finding)]
    return _doubted(kept)


def is_symptom(finding: Finding) -> bool:
    """Return whether a finding says how it looks, and not why: many causes look so, and it has not excluded them."""
    return finding.code in _SYMPTOMS and finding.confidence < _SURE_OF_CAUSE


def _doubted(findings: list[Finding]) -> list[Finding]:
    """Lower the confidence of sure causes that do not explain each other: none explains all that was read."""
    sure = [f for f in findings if f.severity != "info" and f.confidence >= _SURE_OF_CAUSE and f.causes]
    apart = [f for f in sure if any(not _cures(f) & _cures(other) for other in sure)]
    return [replace(f, confidence=round(_DOUBT * f.confidence, 2)) if f in apart and not _is_proof(f) else f for f in findings]


def _is_proof(finding: Finding) -> bool:
    return finding.confidence >= PROVEN


def _cures(finding: Finding) -> frozenset[str]:
    return frozenset(BY_CODE[cause].cure for cause in finding.causes if cause in BY_CODE)


def _rank(finding: Finding, recorded: float) -> tuple[bool | int | float, ...]:
    """What is nearly sure comes first, then the pipeline; where records are about as good, the evidence decides."""
    is_note, likely = finding.severity == "info", finding.confidence >= LIKELY
    unsure = finding.confidence < _SURE_OF_CAUSE * _DOUBT
    doubt, record = recorded < _NEARLY_SURE, round(recorded / _ABOUT_EQUAL)
    order = _PIPELINE_FIRST[finding.severity]
    return (not likely, is_note, is_symptom(finding), doubt, unsure, order, -record, -finding.confidence)
