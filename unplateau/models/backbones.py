"""The table of backbones: fast-reid's builder names, timm's names, the user's own. Reading weights: `weights`, `pretrained`."""

from collections.abc import Callable
from pathlib import Path

from torchvision.models import get_model_weights

from unplateau.base.errors import ConfigError
from unplateau.base.own_code import import_own
from unplateau.config.schema import Config
from unplateau.models.network import IMAGENET_COLOURS, Network, PublicWeights, try_out
from unplateau.models.osnet import WIDTHS, build_osnet
from unplateau.models.own import build_own
from unplateau.models.resnet import DEPTHS, build_resnet
from unplateau.models.timm_networks import build_timm, problem_of_name

_IBN_RELEASE = "https://github.com/XingangPan/IBN-Net/releases/download/v1.0"  # of the paper's authors
_IBN_FILES = {
    "18x": "resnet18_ibn_a-2f571257.pth",
    "34x": "resnet34_ibn_a-94bc1577.pth",
    "50x": "resnet50_ibn_a-d9d0bb7b.pth",
    "101x": "resnet101_ibn_a-59ea0ac6.pth",
}


def build_network(config: Config) -> Network:
    """Return the backbone `MODEL.BACKBONE.NAME` names, with random weights drawn from torch's global generator.

    Raises:
        ConfigError: it cannot be built, cannot take the images, or has not FEAT_DIM channels.
    """
    name, wanted = config.MODEL.BACKBONE.NAME, config.MODEL.BACKBONE.FEAT_DIM
    build = build_own if ":" in name else NAMED.get(name, build_timm)
    network = build(config)
    if wanted and wanted != network.feature_dim:
        raise ConfigError([
            f"MODEL.BACKBONE.FEAT_DIM is {wanted}, but {name} gives {network.feature_dim} channels. "
                "Leave it 0 to take what the network has."
        ])  # fmt: skip
    return network


def check_backbone(config: Config) -> None:
    """Check all that can be known of the network without building it: names, options that apply, weight files that exist.

    Raises:
        ConfigError: with every problem found.
    """
    problems = [problem for problem in (_name_problem(config), _option_problem(config), *_file_problems(config)) if problem]
    if problems:
        raise ConfigError(problems)


def _resnet(config: Config) -> Network:
    backbone = config.MODEL.BACKBONE
    module = build_resnet(backbone.DEPTH, last_stride=backbone.LAST_STRIDE, with_ibn=backbone.WITH_IBN)
    width = try_out(module, config.INPUT.SIZE_TRAIN, backbone.NAME).shape[1]
    return Network(module, width, public=_resnet_weights(backbone.DEPTH, with_ibn=backbone.WITH_IBN), colours=IMAGENET_COLOURS)


def _resnet_weights(depth: str, *, with_ibn: bool) -> PublicWeights | None:
    if not with_ibn:
        weights = get_model_weights(DEPTHS[depth])["IMAGENET1K_V1"]  # those of fast-reid and of the published numbers
        return PublicWeights(f"torchvision {DEPTHS[depth].__name__}", url=weights.url)
    if depth not in _IBN_FILES:
        return None
    return PublicWeights(_IBN_FILES[depth], url=f"{_IBN_RELEASE}/{_IBN_FILES[depth]}")


def _osnet(config: Config) -> Network:
    backbone = config.MODEL.BACKBONE
    module = build_osnet(backbone.DEPTH, with_ibn=backbone.WITH_IBN)
    notes = ("MODEL.BACKBONE.LAST_STRIDE says nothing about OSNet, which has none to change.",)
    return Network(module, WIDTHS[backbone.DEPTH][-1], notes=notes, colours=IMAGENET_COLOURS)


def _tiny(config: Config) -> Network:
    from unplateau.models.tiny import build_tiny_backbone

    module = build_tiny_backbone()
    width = try_out(module, config.INPUT.SIZE_TRAIN, config.MODEL.BACKBONE.NAME).shape[1]
    return Network(module, width)


NAMED: dict[str, Callable[[Config], Network]] = {
    "build_resnet_backbone": _resnet,
    "build_osnet_backbone": _osnet,
    "build_tiny_backbone": _tiny,
}


def _name_problem(config: Config) -> str | None:
    name, depth = config.MODEL.BACKBONE.NAME, config.MODEL.BACKBONE.DEPTH
    if ":" in name:
        return _own_problem(name)
    if name not in NAMED:
        return problem_of_name(name, tuple(NAMED))
    depths = {"build_resnet_backbone": DEPTHS, "build_osnet_backbone": WIDTHS}.get(name)
    if depths is not None and depth not in depths:
        return f"MODEL.BACKBONE.DEPTH is {depth!r}, which {name} does not have. Use one of {', '.join(depths)}."
    return None


def _own_problem(name: str) -> str | None:
    try:
        import_own(name, key="MODEL.BACKBONE.NAME")
    except ConfigError as error:
        return str(error)
    return None


def _option_problem(config: Config) -> str | None:
    backbone = config.MODEL.BACKBONE
    if backbone.WITH_IBN and backbone.NAME not in ("build_resnet_backbone", "build_osnet_backbone"):
        return f"MODEL.BACKBONE.WITH_IBN is for build_resnet_backbone and build_osnet_backbone; set it False for {backbone.NAME}."
    if backbone.SIE_CAMERA and (":" in backbone.NAME or backbone.NAME in NAMED):
        return f"MODEL.BACKBONE.SIE_CAMERA adds to the tokens of a timm ViT such as vit_base_patch16_224, not to {backbone.NAME}."
    return None


def _file_problems(config: Config) -> list[str]:
    files = {"MODEL.WEIGHTS": config.MODEL.WEIGHTS}
    if config.MODEL.BACKBONE.PRETRAIN:
        files["MODEL.BACKBONE.PRETRAIN_PATH"] = config.MODEL.BACKBONE.PRETRAIN_PATH
    return [
        f"{key} is {path}, which is not a file (looked from {Path.cwd()})."
        for key, path in files.items()
        if path and not Path(path).expanduser().is_file()
    ]
