"""MODEL_CARD.md: what a model is, what it was measured to do, on what, and what it is not for. From plain records.

After Mitchell et al. 2019, "Model cards for model reporting". Every number has its protocol; intervals: `workflows`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from unplateau.config.schema import Config
from unplateau.export.parity import MAX_DIFFERENCE, Parity
from unplateau.export.terms import data_terms, shown_name, weight_terms
from unplateau.export.ties import TIED
from unplateau.report.text import hyperparameter_lines
from unplateau.report.words import interval_words
from unplateau.runs.record import RetrievalMetrics
from unplateau.selection.statistics import Estimate


@dataclass(frozen=True)
class Score:
    """One measured score of the model."""

    metrics: RetrievalMetrics
    estimate: Estimate | None
    """mAP with its 95 % interval; None where the average precision of each query was not kept."""
    times_scored: int = 1
    """How often the run scored its test set: more than once where it went on after it was seen."""


@dataclass(frozen=True)
class ExportedFile:
    """One file of the export."""

    name: str
    purpose: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class CardFacts:
    """Everything the card says."""

    run_name: str
    config: Config
    files: tuple[ExportedFile, ...]
    scores: tuple[Score, ...]
    parity: Parity
    num_parameters: int
    embedding_dim: int
    epoch: int
    """The epoch the weights are of."""
    ending: str
    """How the training ended."""
    data: dict[str, object]
    """Of `model_info.json`: fingerprint, numbers of images and identities."""
    versions: dict[str, str]
    precision: str
    """Number format of the training's own evaluation."""


def model_card(facts: CardFacts) -> str:
    """Return the text of MODEL_CARD.md."""
    sections = {
        f"# {facts.run_name}: a person re-identification model": _summary(facts),
        "## Files": _files(facts),
        "## How to use it": _use(facts),
        "## What it was measured to do": _scores(facts),
        "## Same as the trained model?": _parity(facts.parity),
        "## Data": _data(facts),
        "## Training": _training(facts),
        "## Licences": _licences(facts.config),
        "## Meant for, and not meant for": _INTENDED,
        "## Limits": _LIMITS,
        "## Privacy": _PRIVACY,
    }
    return "\n\n".join(f"{title}\n\n" + "\n".join(lines) for title, lines in sections.items()) + "\n"


def _summary(facts: CardFacts) -> list[str]:
    height, width = facts.config.INPUT.SIZE_TEST
    return [
        f"It turns a cropped picture of one person ({width} x {height} pixels) into {facts.embedding_dim} numbers, so that",
        "pictures of the same person lie close together.",
        f"Network: {facts.config.MODEL.BACKBONE.NAME}, {facts.num_parameters / 1e6:.2f} million parameters.",
        f" Weights of epoch {facts.epoch}; trained with unplateau {facts.versions.get('unplateau', '')}.",
    ]


def _files(facts: CardFacts) -> list[str]:
    rows = [f"| {file.name} | {file.purpose} | {file.num_bytes:,} | {file.sha256} |" for file in facts.files]
    return ["| file | what | bytes | SHA-256 |", "|---|---|---:|---|", *rows]


def _use(facts: CardFacts) -> list[str]:
    lines = [
        "With Python, numpy, Pillow and onnxruntime (no torch, no unplateau):",
        "",
        "    python search_gallery.py --gallery folder/of/pictures --query person.jpg",
        "",
        "In a program of your own, do to a picture what preprocessing.json says, and compare embeddings by "
        f"{'cosine similarity' if facts.config.TEST.METRIC == 'cosine' else 'Euclidean distance'}.",
    ]
    if facts.config.TEST.FLIP.ENABLED:
        lines.append("model.onnx averages a picture and its mirror image by itself (TEST.FLIP), so it costs two passes.")
    if facts.config.MODEL.BACKBONE.SIE_CAMERA:
        lines.append("It also takes the camera of each picture; give -1 for cameras it was not trained on.")
    return lines


def _scores(facts: CardFacts) -> list[str]:
    if not facts.scores:
        return ["It was never scored."]
    lines = [line for score in facts.scores for line in _score(score)]
    interval = "Intervals (95 %) say how much mAP varies with the identities that happen to be asked for; other seeds vary too."
    return [*lines, "", interval, "Nothing here says how it does on other cameras, other people or other weather."]


def _score(score: Score) -> list[str]:
    metrics = score.metrics
    words = interval_words(score.estimate) if score.estimate else f"{metrics.mAP:.2%} (no interval: not kept for each query)"
    options = "".join(f", {name} {value}" for name, value in metrics.options.items())
    return [
        f"- **{_protocol(score)}, {shown_name(metrics.dataset)}**: mAP {words}; rank-1 {metrics.cmc['1']:.2%}, "
        f"mINP {metrics.mINP:.2%}.",
        f"  {metrics.num_queries} queries of {metrics.num_identities} identities, gallery of {metrics.num_gallery}; "
        f"chance would be {metrics.chance_mAP:.2%}{options}.",
    ]


def _protocol(score: Score) -> str:
    metrics = score.metrics
    if metrics.protocol == "held-out":
        return "Held-out identities (the best epoch was chosen on them; not comparable with a test mAP)"
    if metrics.chosen_on_it:
        return "Test set, query/gallery, on which the best epoch was chosen (optimistic; not comparable with published numbers)"
    if score.times_scored > 1:
        return f"Test set, query/gallery, scored {score.times_scored} times, since the run went on after it was seen (optimistic)"
    return "Test set, query/gallery, scored once"


def _parity(parity: Parity) -> list[str]:
    lines = [
        f"Checked on {parity.num_images} images, torch against onnxruntime, both in single precision on a processor, in "
        "batches of 1, 3 and up to 64.",
        f"Embeddings, at the length at which they are compared, differ by at most {parity.largest_move:.1e} (allowed "
        f"{MAX_DIFFERENCE:.0e}). Raw numbers differ by at most {parity.largest_difference:.1e}; the largest is "
        f"{parity.largest_value:.3g}.",
    ]
    if parity.before is None or parity.after is None:
        return [*lines, "The images were noise: the run's own were not at hand, so rankings were not compared."]
    return [
        *lines,
        ("Rankings of the sample are equal" if parity.has_equal_scores else _NEARLY)
        + f": mAP {parity.before.mAP:.4f} and {parity.after.mAP:.4f}, rank-1 "
        f"{parity.before.cmc['1']:.4f} and {parity.after.cmc['1']:.4f}. A sample is small, so these are no scores of the model.",
    ]


_NEARLY = f"Rankings of the sample are equal, but for pictures whose similarity differs by less than {TIED:g}"


def _data(facts: CardFacts) -> list[str]:
    data = facts.data
    names = ", ".join(shown_name(name) for name in facts.config.DATASETS.NAMES)
    return [
        f"Trained on {names}: {data.get('train_images', 'unknown')} images of {data.get('train_identities', 'unknown')} "
        f"identities (fingerprint of the file names {data.get('fingerprint', 'unknown')}).",
        f"Share of identities held out: {facts.config.VALIDATION.HELD_OUT:g}, drawn with seed {facts.config.VALIDATION.SEED}.",
    ]


def _training(facts: CardFacts) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return [
        facts.ending,
        "",
        *(f"-{line[1:]}" for line in hyperparameter_lines(facts.config)),
        f"- Number format of its own evaluation: {facts.precision}",
        f"- Versions: {versions}",
        "",
        "config.yml has every value; paths of the machine it was trained on are left out of it.",
    ]


def _licences(config: Config) -> list[str]:
    names = dict.fromkeys(config.DATASETS.NAMES)
    return [
        "As far as this program knows; it is no legal advice. To be safe, take the strictest of these to hold for the model.",
        "",
        *(f"- Data, {shown_name(name)}: {data_terms(name)}" for name in names),
        f"- Weights: {weight_terms(config)}",
        "- The program (unplateau, search_gallery.py): Apache-2.0.",
    ]


_INTENDED: Sequence[str] = [
    "Meant for research on re-identification, and for finding a person again in footage of people who have agreed to it.",
    "",
    "Not meant for: telling who somebody is (it knows no names, and people in similar clothes look alike to it); decisions about",
    "people without a person who looks and answers for them; watching people who do not know of it; sorting people by origin,",
    "health, faith or opinion.",
]
_LIMITS: Sequence[str] = [
    "- It goes by clothes and shape. After a change of clothes it mostly fails.",
    "- It ranks. The first of a ranking is the most similar picture, also where the person is not in the gallery at all.",
    "- On cameras, light, places and people unlike its training data it does worse, often much worse. Measure on your own data.",
    "- How well it does for groups of people (age, sex, skin, wheelchair users, ...) was not measured.",
]
_PRIVACY: Sequence[str] = [
    "- Embeddings made to recognise a person can be biometric data (in the EU: GDPR, articles 4(14) and 9). Keep them as you",
    "  would keep the pictures: for a stated purpose, as short as possible, deleted on request.",
    "- Finding people in public from afar is limited by law in many places (in the EU: AI Act, article 5(1)(h) and Annex III).",
    "- The export holds no picture. Its classifier, whose rows stand for the training identities, is left out. What a network",
    "  remembers of its training pictures was not measured.",
]
