"""Other trainers' names for the same tensors, translated. Pure functions on names; nothing is loaded here.

Known: fast-reid, torchreid, reid-strong-baseline, TransReID (with its JPM branches left out), SOLIDER's Swin, torchvision, timm;
and, where only the names differ, any file whose tensors have the same shapes in the same order.
"""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

Tensors = dict[str, Tensor]

PREFIXES = ("backbone.", "base.", "model.", "network.", "encoder.", "image_encoder.", "visual.")
COUNTER = "num_batches_tracked"  # of batch norm: absent in old files, and nothing depends on it
_HEAD_TENSORS = 4  # a classifier of up to two layers may follow the backbone in a file mapped by order


def backbone_namings(source: Tensors, target: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensors]]:
    """Give ways to read `source` as the backbone `target`, most literal first: (how, tensors by the target's names)."""
    yield "by name", source
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in source):
            bare = {name.removeprefix(prefix): tensor for name, tensor in source.items()}
            yield f"by name, without {prefix!r}", bare
            source = bare if not _is_swin(source) and _is_swin(bare) else source
    if _is_swin(source):
        yield "by name, Swin as in SOLIDER", swin_names(source)
    ordered = in_order(source, target)
    if ordered is not None:
        yield "by order (names differ, shapes agree one by one)", ordered


def in_order(source: Tensors, target: Mapping[str, Tensor]) -> Tensors | None:
    """Pair tensors one by one; None unless kinds (weight, bias, ...) and shapes agree all along and only a head is left over."""
    names = [name for name in target if not name.endswith(COUNTER)]
    entries = [(name, tensor) for name, tensor in source.items() if not name.endswith(COUNTER)]
    if not 0 <= len(entries) - len(names) <= _HEAD_TENSORS:
        return None
    paired: Tensors = {}
    for name, (found, tensor) in zip(names, entries, strict=False):
        if name.rpartition(".")[2] != found.rpartition(".")[2] or target[name].shape != tensor.shape:
            return None
        paired[name] = tensor
    return paired | dict(entries[len(names) :])


def _is_swin(source: Tensors) -> bool:
    return any(".attn.w_msa." in name and name.startswith("stages.") for name in source)


def swin_names(source: Tensors) -> Tensors:
    """Translate SOLIDER's (mmcv's) Swin to timm's: other names, merging at a stage's start, another order of merged pixels."""
    translated: Tensors = {}
    for name, tensor in source.items():
        translated[_swin_name(name)] = _reordered(tensor) if ".downsample." in name else tensor
    return translated


def _swin_name(name: str) -> str:
    for pattern, replacement in _SWIN_RULES:
        name = re.sub(pattern, replacement, name)
    merging = re.match(r"layers\.(\d+)\.downsample\.(.*)", name)
    return f"layers.{int(merging[1]) + 1}.downsample.{merging[2]}" if merging else name


_SWIN_RULES = (
    (r"^stages\.", "layers."),
    (r"\.attn\.w_msa\.", ".attn."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^norm3\.", "norm."),
)


def _reordered(tensor: Tensor) -> Tensor:
    """Reorder the last axis from (channel, row, column), nn.Unfold's, to (column, row, channel), timm's merging."""
    *leading, merged = tensor.shape
    axes = tensor.reshape(*leading, merged // 4, 2, 2)
    return axes.movedim((-1, -2), (-3, -2)).reshape(*leading, merged)


def whole_model_names(source: Tensors) -> tuple[str, Tensors]:
    """Return whose naming a whole model's file has, and its tensors under ours (`backbone.`, `head.`, `camera_embedding.`)."""
    for label, is_theirs, translate in _TRAINERS:
        if any(name.startswith(is_theirs) for name in source):
            return label, {translate(name, tensor): tensor for name, tensor in _without_jpm(source).items()}
    return "torchreid or plain", {_torchreid_name(name): tensor for name, tensor in source.items()}


def _our_name(name: str, tensor: Tensor) -> str:
    return name


def _fastreid_name(name: str, tensor: Tensor) -> str:
    if name in ("heads.weight", "heads.classifier.weight"):
        return "head.classifier.weight"
    if name == "heads.pool_layer.p":
        return "head.pooling.p"
    neck = re.match(r"heads\.(?:bottleneck\.\d+|bnneck)\.(.*)", name)
    if neck is None:
        return name
    is_reduction = neck[1] == "weight" and tensor.dim() >= 2
    return "head.reduction.weight" if is_reduction else f"head.neck.{neck[1]}"


def _baseline_name(name: str, tensor: Tensor) -> str:
    if name.lower() == "base.sie_embed":
        return "camera_embedding.table"
    for theirs, ours in (("base.", "backbone."), ("bottleneck.", "head.neck."), ("classifier.", "head.classifier.")):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _torchreid_name(name: str) -> str:
    if name.startswith("classifier."):
        return f"head.{name}"
    if re.match(r"fc\.\d", name):
        return name.replace("fc.", "head.projection.", 1)
    return f"backbone.{name}"


def _without_jpm(source: Tensors) -> Tensors:
    """Put TransReID's global branch b1, which is trained, in place of the last block and norm, which then are not."""
    if "b1.1.weight" not in source:
        return source
    last = max(int(found[1]) for name in source if (found := re.match(r"base\.blocks\.(\d+)\.", name)))
    branch = {
        re.sub(r"^b1\.0\.", f"base.blocks.{last}.", re.sub(r"^b1\.1\.", "base.norm.", name)): tensor
        for name, tensor in source.items()
        if name.startswith("b1.")
    }
    return {name: tensor for name, tensor in source.items() if not name.startswith("b1.")} | branch


_TRAINERS = (
    ("ours", "head.", _our_name),
    ("fast-reid", "heads.", _fastreid_name),
    ("reid-strong-baseline, TransReID or SOLIDER", "base.", _baseline_name),
)
