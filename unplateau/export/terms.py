"""Terms of data sets and starting weights, as far as we know them. No legal advice; ask whoever publishes them."""

from pathlib import Path

from unplateau.config.schema import Config

_RESEARCH = "given out for academic research; commercial use is not granted as far as we know"
DATA_TERMS = {
    "Market1501": f"{_RESEARCH}. It shows people filmed on a campus who were not asked one by one.",
    "Market1501Mini": f"a part of Market-1501: {_RESEARCH}.",
    "MSMT17": f"{_RESEARCH}, after signing its authors' agreement.",
    "DukeMTMC": "taken down by Duke University in April 2019: people were filmed and shown against what was approved.",
    "CUHK03": f"{_RESEARCH}, on request.",
    "VeRi": f"{_RESEARCH}, on request. It shows vehicles.",
    "MiniMarket": "drawn by this program, Apache-2.0; it shows no real person.",
}
_FAMILIES = {"MSMT17_V1": "MSMT17", "MSMT17_V2": "MSMT17", "CUHK03Labeled": "CUHK03", "CUHK03Detected": "CUHK03"}
_UNKNOWN = "not known to this program: ask whoever gave you the data, and the people in it."


def data_terms(name: str) -> str:
    """Return what is known of a data set's terms.

    Args:
        name: as DATASETS.NAMES has it; a folder or function of the user's own is not known.
    """
    return DATA_TERMS.get(_FAMILIES.get(name, name), _UNKNOWN)


def shown_name(name: str) -> str:
    """Return a data set's name without the folder it lies in, which is nobody's business.

    >>> shown_name("folder:/home/me/cameras"), shown_name("Market1501")
    ('folder:cameras', 'Market1501')
    """
    kind, _, place = name.partition(":")
    return f"{kind}:{Path(place.replace(chr(92), '/')).name}" if kind in ("folder", "csv") else name


def weight_terms(config: Config) -> str:
    """Return what is known of the terms of the weights a training started from."""
    backbone = config.MODEL.BACKBONE
    if config.MODEL.WEIGHTS:
        return (
            f"Training started from the model {Path(config.MODEL.WEIGHTS).name}; its terms, and those of its data, go on holding."
        )
    if not backbone.PRETRAIN:
        return "Training started from random weights."
    source = (
        f"the file {Path(backbone.PRETRAIN_PATH).name}" if backbone.PRETRAIN_PATH else f"the public weights of {backbone.NAME}"
    )
    return (
        f"Training started from {source}. Weights have their publisher's terms. torchvision (BSD-3) and timm (Apache-2.0) say "
        "that the terms of the training data may hold for weights too (github.com/pytorch/vision#pre-trained-model-license, "
        "github.com/huggingface/pytorch-image-models#licenses); most were trained on ImageNet, given out for non-commercial "
        "research."
    )
