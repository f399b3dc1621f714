""" "Did you mean": the nearest names to one that is not known."""

import difflib
from collections.abc import Iterable

_CUTOFF = 0.6  # difflib's own default


def nearest_key(key: str, known: Iterable[str]) -> str | None:
    """Return the dotted key most like `key`, looking at its last part first, then at the whole.

    >>> nearest_key("SOLVER.LR", ["SOLVER.BASE_LR", "SOLVER.STEPS", "MODEL.LOSSES.CENTER.LR"])
    'SOLVER.BASE_LR'
    >>> nearest_key("SOLVR.STEPS", ["SOLVER.BASE_LR", "SOLVER.STEPS"])
    'SOLVER.STEPS'
    """
    names = list(known)
    by_upper = {name.upper(): name for name in names}
    wanted = key.upper().strip()
    if wanted in by_upper:
        return by_upper[wanted]
    return _same_word(wanted, names) or _same_last_part(wanted, names) or _same_group(wanted, names) or _nearest(wanted, by_upper)


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, whatever the case of letters.

    >>> nearest_word("tripletloss", ["CrossEntropyLoss", "TripletLoss"])
    'TripletLoss'
    """
    return _nearest(word.upper(), {name.upper(): name for name in known})


def _same_last_part(wanted: str, names: list[str]) -> str | None:
    """The same word in another group, when there is one such place or one within the group asked for."""
    group, _, last = wanted.rpartition(".")
    places = [name for name in names if name.upper().rpartition(".")[2] == last]
    inside = [name for name in places if group and name.upper().startswith(f"{group}.")]
    if len(inside) == 1:
        return inside[0]
    return places[0] if len(places) == 1 else None


def _same_word(wanted: str, names: list[str]) -> str | None:
    """A key of the same group that holds the word; LR is a part of BASE_LR, which difflib finds unlike."""
    last = wanted.rpartition(".")[2]
    holding = [name for word, name in _siblings(wanted, names).items() if last and last in word.split("_")]
    return min(holding, key=len) if holding else None


def _same_group(wanted: str, names: list[str]) -> str | None:
    return _nearest(wanted.rpartition(".")[2], _siblings(wanted, names))


def _siblings(wanted: str, names: list[str]) -> dict[str, str]:
    group = wanted.rpartition(".")[0]
    return {name.upper().rpartition(".")[2]: name for name in names if name.upper().rpartition(".")[0] == group}


def _nearest(wanted: str, by_upper: dict[str, str]) -> str | None:
    close = difflib.get_close_matches(wanted, by_upper, n=1, cutoff=_CUTOFF)
    return by_upper[close[0]] if close else None
