"""Versions are compared by number, and agree with what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from unplateau.doctor.judge_packages import EXTRAS
from unplateau.doctor.measure import OPTIONAL
from unplateau.doctor.versions import EXCLUDED, MINIMUM, MINIMUM_PYTHON, fits

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_table_of_versions_is_the_projects() -> None:
    asked = {}
    for line in PROJECT["dependencies"]:
        name, conditions = re.match(r"([\w-]+)(.*)", line).groups()  # type: ignore[union-attr]
        asked[name] = conditions.split(",")
    assert {name: minimum for name, (first, *_) in asked.items() for minimum in [first.removeprefix(">=")]} == MINIMUM
    assert {name: rest[0].removeprefix("!=") for name, (_, *rest) in asked.items() if rest} == EXCLUDED
    assert PROJECT["requires-python"] == ">=" + ".".join(map(str, MINIMUM_PYTHON))


def test_the_optional_packages_are_the_projects() -> None:
    asked = {
        extra: tuple(re.split(r"[><=!]", line)[0] for line in lines)
        for extra, lines in PROJECT["optional-dependencies"].items()
        if extra != "dev"
    }
    assert asked == EXTRAS
    assert {name for names in EXTRAS.values() for name in names} == set(OPTIONAL)


@pytest.mark.parametrize(
    "requirement", ["==2.6.0", ">=2.14.0", "<3,>=2.6", "!=2.13.0", "~=2.6.0", "~=2.6", "==2.6.*", "!=2.7.*", "<=2.7", ">2.6"]
)
@pytest.mark.parametrize("version", ["2.5.1", "2.6.0", "2.6.1", "2.7", "2.7.1", "2.13.0", "2.14.1", "3.0.0"])
def test_requirements_mean_what_packaging_says(version: str, requirement: str) -> None:
    assert fits(version, requirement) == (version in SpecifierSet(requirement))
