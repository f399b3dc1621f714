"""Says in words why weights probably did not fit. Knows names only."""

import re

_BLOCK = re.compile(r"^(layer\d|conv\d|stages?\.?\d+|layers\.\d+|blocks)\.(?:blocks\.)?(\d+)\.")


def probable_cause(
    *, any_loaded: bool, missing: tuple[str, ...], mismatched: tuple[str, ...], unexpected: tuple[str, ...]
) -> tuple[str, ...]:
    """Return sentences on what the file probably is, from names that are missing, of another shape, or left over."""
    if not any_loaded and not mismatched:
        return ("None of the names fit: the file is of another architecture, or of a naming that is not known here.",)
    causes = (_ibn(missing, unexpected), _depth(missing, unexpected), _width(mismatched))
    return tuple(cause for cause in causes if cause)


def _ibn(missing: tuple[str, ...], unexpected: tuple[str, ...]) -> str:
    if any(".IN." in name for name in missing):
        return (
            "The network has IBN layers and the file has not: these are weights of the plain network, and the IBN layers "
            "stay random. Use weights of the IBN variant (IBN-Net's resnet50_ibn_a, torchreid's osnet_ibn), or WITH_IBN False."
        )
    if any(".IN." in name for name in unexpected):
        return "The file has IBN layers and the network has not: set MODEL.BACKBONE.WITH_IBN True."
    return ""


def _depth(missing: tuple[str, ...], unexpected: tuple[str, ...]) -> str:
    lacks, has = _last_blocks(missing), _last_blocks(unexpected)
    if lacks and not has:
        return f"Whole blocks are missing ({_listed(lacks)}): the file is of a shallower network, as ResNet-50 is to ResNet-101."
    if has and not lacks:
        return f"Whole blocks are left over ({_listed(has)}): the file is of a deeper network, as ResNet-101 is to ResNet-50."
    return ""


def _width(mismatched: tuple[str, ...]) -> str:
    if len(mismatched) < 3:  # one or two are a classifier or a position embedding
        return ""
    return "Names agree and shapes do not: the file is of the same family, but of another width or block type."


def _last_blocks(names: tuple[str, ...]) -> dict[str, int]:
    """Return the highest block of each stage of which a convolution or a projection is among `names`."""
    found = [_BLOCK.match(name) for name in names if re.search(r"(conv\d?|qkv|fc\d)\.weight$", name)]
    last: dict[str, int] = {}
    for block in filter(None, found):
        last[block[1]] = max(int(block[2]), last.get(block[1], 0))
    return last


def _listed(blocks: dict[str, int]) -> str:
    return ", ".join(f"{stage}.{number}" for stage, number in blocks.items())
