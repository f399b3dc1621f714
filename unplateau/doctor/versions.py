"""Version numbers: compared without a package for it, since a broken installation is what we are called for."""

import re

MINIMUM = {  # those of pyproject.toml, which a test compares
    "torch": "2.6", "torchvision": "0.21", "timm": "1.0.15", "numpy": "1.26", "pillow": "10.3", "pydantic": "2.7",
    "PyYAML": "6.0", "typer": "0.12", "rich": "13.7", "safetensors": "0.4.3", "jinja2": "3.1", "optuna": "5.0",
}  # fmt: skip
EXCLUDED = {"torch": "2.13.0"}
MINIMUM_PYTHON = (3, 11)
NEWEST_PYTHON_TRIED = (3, 13)


def numbers(version: str) -> tuple[int, ...]:
    """Return the release part of a version.

    >>> numbers("2.6.0+cu124")
    (2, 6, 0)
    """
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def is_at_least(version: str, minimum: str) -> bool:
    """Return whether `version` is `minimum` or later.

    >>> is_at_least("2.10.0", "2.6"), is_at_least("2.5.1", "2.6")
    (True, False)
    """
    return _padded(version) >= _padded(minimum)


def fits(version: str, requirement: str) -> bool:
    """Return whether a version meets a requirement of comparisons such as ">=2.14.0,<3"; what is not understood counts as met.

    >>> fits("2.14.1+cpu", "==2.14.1"), fits("2.13.0", ">=2.14.0"), fits("2.14.1", "==2.14.*")
    (True, False, True)
    """
    return all(_meets(version, part.strip()) for part in requirement.split(",") if part.strip())


def _meets(version: str, part: str) -> bool:
    found = re.fullmatch(r"(==|!=|>=|<=|>|<|~=)\s*([\d.]+)(\.\*)?(\+\w+)?", part)
    if found is None:
        return True
    sign, wanted, is_prefix = found[1], found[2], bool(found[3])
    if is_prefix:
        agrees = numbers(version)[: len(numbers(wanted))] == numbers(wanted)
        return agrees if sign == "==" else not agrees
    have, want = _padded(version), _padded(wanted)
    if sign == "~=":
        return have >= want and have[: len(numbers(wanted)) - 1] == want[: len(numbers(wanted)) - 1]
    return {"==": have == want, "!=": have != want, ">=": have >= want, "<=": have <= want, ">": have > want, "<": have < want}[
        sign
    ]


def _padded(version: str) -> tuple[int, ...]:
    parts = numbers(version)
    return parts + (0,) * (4 - len(parts))
