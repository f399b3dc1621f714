"""Pretrained weights: from a file, from a cache, and what is said where there is no network."""

import hashlib
import time
import urllib.error
import urllib.request
from pathlib import Path

import huggingface_hub
import pytest
import torch

from unplateau.base import reachable
from unplateau.base.errors import WeightsError
from unplateau.models.build import build_model
from unplateau.models.network import PublicWeights
from unplateau.models.osnet import build_osnet
from unplateau.models.pretrained import fetch

from .making import config_of


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    return tmp_path


@pytest.mark.parametrize("name", ["mobilenetv2_100", "build_resnet_backbone"])
def test_without_a_network_the_error_names_the_choices(name: str, empty_caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(reachable, "any_response", lambda address: ANY_RESPONSE(address, unreachable))
    with pytest.raises(WeightsError) as caught:
        build_model(config_of(name, PRETRAIN=True), num_identities=2, num_cameras=0)
    for words in ("did not answer", "PRETRAIN_PATH", "PRETRAIN False", "kept "):
        assert words in str(caught.value)


ANY_RESPONSE = reachable.any_response


def test_an_address_that_hangs_is_given_up_soon(empty_caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachable, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(reachable, "any_response", lambda address: time.sleep(1.0) or True)
    started = time.monotonic()
    with pytest.raises(WeightsError, match="did not answer"):
        fetch(PublicWeights("x", url="https://example.org/x.pth"), "x")
    assert time.monotonic() - started < 0.9


def test_osnet_has_no_direct_address_and_the_error_says_so() -> None:
    with pytest.raises(WeightsError, match="no public weights of build_osnet_backbone are known"):
        build_model(config_of("build_osnet_backbone", DEPTH="x0_25", PRETRAIN=True), num_identities=2, num_cameras=0)


def test_what_is_in_the_cache_is_used_without_asking(empty_caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(address: str) -> bool:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(reachable, "answers", asked)
    cached = empty_caches / "checkpoints" / "x-0.pth"
    cached.parent.mkdir()
    cached.write_bytes(b"weights")
    assert fetch(PublicWeights("x", url="https://example.org/x-0.pth"), "x") == cached


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_download_is_kept_only_if_its_hash_is_the_promised_one(
    is_whole: bool, empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"weights" * 1000
    served = empty_caches / f"served-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    served.write_bytes(content if is_whole else content[:-1])
    monkeypatch.setattr(reachable, "answers", lambda address: True)
    public = PublicWeights("served", url=served.as_uri())
    kept = empty_caches / "checkpoints" / served.name
    if is_whole:
        assert fetch(public, "x").read_bytes() == content and kept.is_file()
        return
    with pytest.raises(WeightsError, match="could not be downloaded.*SHA-256"):
        fetch(public, "x")
    assert not list((empty_caches / "checkpoints").glob("*"))


def test_another_normalisation_is_said(tmp_path: Path) -> None:
    config = config_of("tf_efficientnet_lite0")
    torch.save(build_model(config, num_identities=0, num_cameras=0).model.backbone.state_dict(), tmp_path / "lite.pth")
    from_file = {"PRETRAIN": True, "PRETRAIN_PATH": str(tmp_path / "lite.pth")}
    report = build_model(config_of("tf_efficientnet_lite0", **from_file), num_identities=2, num_cameras=0).report
    assert report is not None and "127.5" in report.normalisation and report.normalisation in report.text()
    half = (127.5, 127.5, 127.5)
    agreeing = config_of("tf_efficientnet_lite0", **from_file, PIXEL_MEAN=half, PIXEL_STD=half)
    report = build_model(agreeing, num_identities=2, num_cameras=0).report
    assert report is not None and report.normalisation == ""


def test_too_little_coverage_stops_the_build(tmp_path: Path) -> None:
    torch.save(build_osnet("x0_5", with_ibn=False).state_dict(), tmp_path / "wide.pth")
    config = config_of("build_osnet_backbone", DEPTH="x0_25", PRETRAIN=True, PRETRAIN_PATH=str(tmp_path / "wide.pth"))
    with pytest.raises(WeightsError, match="PRETRAIN_MIN_COVERAGE"):
        build_model(config, num_identities=2, num_cameras=0)
