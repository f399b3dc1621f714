"""One YAML file as dotted keys with line numbers. Nothing is constructed from tags, so nothing in a file can run code.

Size, depth and the expansion of aliases are bounded. What the keys mean is not known here; `_BASE_` is followed in `inherit`.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from unplateau.base.errors import ConfigError
from unplateau.config.entries import Entry

_LARGEST_BYTES = 1 << 20  # a dumped fast-reid configuration has 5 KB
_DEEPEST = 20  # the tree has five levels
_MOST_NODES = 20_000
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + name
    for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge", "timestamp", "value", "python/tuple", "python/str",
                 "python/unicode")
)  # fmt: skip
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, problems: list[str]) -> dict[str, Entry]:
    """Read one YAML file.

    Args:
        path: the file.
        problems: is appended to: the file is missing, too large, no text, no YAML, or holds tags, duplicates or an alias bomb.

    Returns:
        Dotted key -> raw value with its line, in the order of the file; what could not be read is left out.
    """
    try:
        return parse_yaml(_text_of(path), str(path), problems)
    except ConfigError as error:
        problems += error.problems
        return {}


def parse_yaml(text: str, name: str, problems: list[str]) -> dict[str, Entry]:
    """As `read_yaml`, from text; `name` stands for the file in messages.

    Raises:
        ConfigError: nothing of the text can be used.
    """
    try:
        _refuse_deep(text, name)
        root = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError([_syntax_problem(error, name)]) from error
    if root is None:
        return {}
    walk = _Walk(name, problems)
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([f"{walk.where(root)}: the file holds no keys, expected lines such as `SOLVER:` or `KEY: VALUE`."])
    return walk.entries(root)


def plain_tree(text: str) -> dict[str, Any]:
    """Return the mapping of a YAML text of another trainer, read with the same bounds; empty where there is none.

    >>> plain_tree("MODEL: {DEPTH: 50x}"), plain_tree("MODEL: !!python/name:os.system x")
    ({'MODEL': {'DEPTH': '50x'}}, {})
    """
    try:
        parse_yaml(text[:_LARGEST_BYTES], "text", [])
        tree = yaml.load(text[:_LARGEST_BYTES], Loader=_Loader)  # a safe loader
    except (ConfigError, yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def plain_tree_of(path: Path) -> dict[str, Any]:
    """As `plain_tree`, from a file, of which no more is read than can be a configuration; empty where there is no file."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", errors="replace") as stream:
        return plain_tree(stream.read(_LARGEST_BYTES))


class _Walk:
    """Flattens a node tree; appends to the problems so that all are reported at once."""

    def __init__(self, name: str, problems: list[str]) -> None:
        self.name = name
        self.problems = problems
        self.num_nodes = 0

    def entries(self, root: yaml.MappingNode) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for dotted, entry in self.flatten(root, "", 0):
            if dotted in found:
                self.problems.append(f"{entry.where}: {dotted} is given twice, first at {found[dotted].where}. Keep one.")
            found.setdefault(dotted, entry)
        return found

    def flatten(self, node: yaml.MappingNode, prefix: str, depth: int) -> Iterator[tuple[str, Entry]]:
        for key_node, value_node in self.pairs(node, depth):
            self.count(value_node, depth)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(f"{self.where(key_node)}: a key has to be a name.")
                continue
            dotted = prefix + key_node.value
            if isinstance(value_node, yaml.MappingNode) and value_node.value:
                self.check_tag(value_node)
                yield from self.flatten(value_node, f"{dotted}.", depth + 1)
                continue
            yield dotted, Entry(self.raw(value_node, depth), self.where(key_node))

    def pairs(self, node: yaml.MappingNode, depth: int) -> list[tuple[yaml.Node, yaml.Node]]:
        """The pairs of a mapping, with what `<<: *anchor` brings in where the mapping does not say it itself."""
        own = [(key, value) for key, value in node.value if key.tag != f"{_TAG}merge"]
        names = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
        merged = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        for value in merged:
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self.count(source, depth)
                if not isinstance(source, yaml.MappingNode):
                    self.problems.append(f"{self.where(source)}: `<<` takes a mapping.")
                    continue
                own += [pair for pair in self.pairs(source, depth + 1) if not _is_named(pair[0], names)]
        return own

    def raw(self, node: yaml.Node, depth: int) -> Any:
        self.count(node, depth)
        self.check_tag(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.raw(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            if node.value:
                self.problems.append(f"{self.where(node)}: a list holds a group of keys, expected plain values.")
            return None
        return None if node.tag == f"{_TAG}null" else node.value

    def check_tag(self, node: yaml.Node) -> None:
        if node.tag not in _PLAIN_TAGS:
            tag = node.tag.replace(_TAG, "!!")
            self.problems.append(
                f"{self.where(node)}: the tag {tag} is not allowed, since tags can run code. Write a plain value."
            )

    def count(self, node: yaml.Node, depth: int) -> None:
        self.num_nodes += 1
        if self.num_nodes > _MOST_NODES or depth > _DEEPEST:
            raise ConfigError(
                [f"{self.where(node)}: aliases or nesting make this file grow beyond bounds. Write the values out."]
            )

    def where(self, node: yaml.Node) -> str:
        return f"{self.name} line {node.start_mark.line + 1}"


def _is_named(key: yaml.Node, names: set[str]) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value in names  # a list as a key has no name


def _text_of(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError([f"{path}: a pipe, a device or a folder, expected a file."])
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigError([f"{path}: the file has {path.stat().st_size:,} bytes, expected a configuration below 1 MiB."])
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([f"{path}: the configuration cannot be read ({reason}). Check the path."]) from error
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path} line {line}: not UTF-8 text. Save the file as UTF-8."]) from error


def _refuse_deep(text: str, name: str) -> None:
    """Composing recurses, so the depth is bounded beforehand."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise ConfigError([f"{name} line {line}: nested more than {_DEEPEST} levels deep."])


def _syntax_problem(error: Exception, name: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f" line {mark.line + 1}" if mark else ""
    words = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    hint = " Indent with spaces, not tabs." if "\\t" in str(words) else " Check indentation, colons and quotes."
    return f"{name}{line}: not valid YAML ({words}).{hint}"
