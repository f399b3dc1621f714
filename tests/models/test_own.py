"""Backbones of the user's own: what is taken, and how failures read."""

import sys

import pytest

from unplateau.base.errors import ConfigError
from unplateau.models.build import build_model, check_backbone

from .making import config_of


def test_modules_beside_the_working_directory_are_found_and_the_path_is_left_as_it_was(own_module: str) -> None:
    before = list(sys.path)
    check_backbone(config_of(f"{own_module}:build"))
    assert sys.path == before


def test_failures_of_an_import_say_what_and_where(own_module: str) -> None:
    with pytest.raises(ConfigError, match="no module 'my_backbone'"):
        check_backbone(config_of("my_backbone:build"))
    with pytest.raises(ConfigError, match=r"my_broken.py:2: KeyError: 'lost'"):
        check_backbone(config_of("my_broken:build"))
    with pytest.raises(ConfigError, match="needs the package 'a_package_nobody_has'"):
        check_backbone(config_of("my_needy:build"))
    with pytest.raises(ConfigError, match="no function 'biuld'. It has build, no_network, tokens, vectors"):
        check_backbone(config_of(f"{own_module}:biuld"))


def test_what_is_no_backbone_is_refused(own_module: str) -> None:
    with pytest.raises(ConfigError, match="returned a int"):
        build_model(config_of(f"{own_module}:no_network"), num_identities=2, num_cameras=0)
    with pytest.raises(ConfigError, match=r"gives shape \(1, 3, 2048\)"):
        build_model(config_of(f"{own_module}:tokens"), num_identities=2, num_cameras=0)
