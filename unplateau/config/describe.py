"""What a key means, as text for `unplateau config explain` and for the documentation."""

from unplateau.base.errors import UsageError
from unplateau.config.build import meaning_note
from unplateau.config.entries import shown
from unplateau.config.suggest import nearest_key
from unplateau.config.tree import ALIASES, Leaf, leaves, section_names
from unplateau.config.unsupported import UNSUPPORTED, is_unsupported, reason_of


def explain(key: str) -> str:
    """Return what a dotted key means; a group lists its keys, a last part the keys that end so.

    Raises:
        UsageError: no key is called so.
    """
    wanted = key.strip().upper()
    names = {name.upper(): name for name in (*leaves(), *ALIASES, *section_names(), *UNSUPPORTED)}
    name = names.get(wanted, key)
    if name in ALIASES:
        return f"{name} is read as {ALIASES[name]}.\n\n{_describe(leaves()[ALIASES[name]])}"
    if name in leaves():
        return _describe(leaves()[name])
    if name in section_names():
        return "\n".join(_one_line(leaf) for dotted, leaf in leaves().items() if dotted.startswith(f"{name}."))
    if is_unsupported(name):
        return f"{name}: a key of fast-reid that is not supported: {reason_of(name)}."
    return _by_last_part(wanted, key)


def _by_last_part(wanted: str, key: str) -> str:
    found = [leaf for dotted, leaf in leaves().items() if dotted.upper().endswith(f".{wanted}")]
    if found:
        return "\n\n".join(map(_describe, found))
    near = nearest_key(key, (*leaves(), *ALIASES, *section_names()))
    hint = f"Did you mean {near}?" if near else "`unplateau config show FILE` lists all keys."
    raise UsageError(f"There is no key {shown(key)}. {hint}")


def _describe(leaf: Leaf) -> str:
    lines = [leaf.key, f"  {leaf.meaning}", f"  default:  {shown(leaf.default)}", f"  expected: {leaf.expected}"]
    note = meaning_note(leaf.key)
    return "\n".join([*lines, f"  {note}"] if note else lines)


def _one_line(leaf: Leaf) -> str:
    return f"{leaf.key} = {shown(leaf.default)}  ({leaf.meaning})"
