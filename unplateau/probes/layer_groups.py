"""Layer groups of any network from its parameter names alone, also of a checkpoint whose code is not at hand.

For our own models `unplateau.models.groups` knows the stages by name; every probe takes such a grouping instead.
"""

from collections.abc import Iterable, Mapping, Sequence

Groups = Mapping[str, Sequence[str]]
"""Parameter names by group."""

_WRAPPERS = ("module.", "_orig_mod.", "model.")  # DistributedDataParallel, torch.compile, Lightning
_MOST_GROUPS = 24  # a ResNet's blocks or a ViT's, and the head


def by_layer(names: Iterable[str], *, most: int = _MOST_GROUPS) -> dict[str, list[str]]:
    """Return names by module prefix, cut at the greatest depth that gives at most `most` groups, in the order of the names.

    >>> by_layer(["body.0.weight", "body.0.bias", "body.1.weight", "head.weight"], most=3)
    {'body.0': ['body.0.weight', 'body.0.bias'], 'body.1': ['body.1.weight'], 'head': ['head.weight']}
    >>> list(by_layer(["body.0.weight", "body.1.weight", "head.weight"], most=2))
    ['body', 'head']
    """
    all_names = list(names)
    deepest = max((bare_name(name).count(".") for name in all_names), default=0)
    groups = _cut(all_names, 1)
    for depth in range(2, deepest + 1):
        finer = _cut(all_names, depth)
        if len(finer) > most:
            break
        groups = finer
    return groups


def bare_name(name: str) -> str:
    """Return a parameter's name without what wrappers put before it.

    >>> bare_name("module._orig_mod.head.weight")
    'head.weight'
    """
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def _cut(names: list[str], depth: int) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        modules = bare_name(name).split(".")[:-1]
        groups.setdefault(".".join(modules[:depth]) or "(root)", []).append(name)
    return groups
