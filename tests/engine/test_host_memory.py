"""Freed memory is kept where the C library can be told to. What it is worth is measured in benchmarks/step/host_memory.py."""

import pytest

from unplateau.engine import host_memory


class FakeLibrary:
    """Records what it is told; says no to the parameters in `refused`."""

    def __init__(self, refused: tuple[int, ...] = ()) -> None:
        self.refused, self.told = refused, dict[int, int]()

    def mallopt(self, parameter: int, value: int) -> int:
        self.told[parameter] = value
        return 0 if parameter in self.refused else 1

    def malloc_trim(self, kept: int) -> int:
        self.told[0] = kept
        return 1


@pytest.fixture(autouse=True)
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory.sys, "platform", "linux")


def test_both_thresholds_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary()
    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda _: library)
    assert host_memory.keep_freed_memory()
    assert library.told == {-3: 1 << 30, -1: 1 << 30}  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h


def test_handing_back_lowers_them_for_good_and_trims(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary()
    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda _: library)
    assert host_memory.hand_back_freed_memory()
    assert library.told == {-3: 128 << 10, -1: 128 << 10, 0: 0}


def test_a_library_that_refuses_or_has_no_such_call_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda _: FakeLibrary(refused=(-1,)))
    assert not host_memory.keep_freed_memory()
    assert not host_memory.hand_back_freed_memory()
    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda _: object())
    assert not host_memory.keep_freed_memory()
    assert not host_memory.hand_back_freed_memory()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory.sys, "platform", "win32")
    assert not host_memory.keep_freed_memory()
    assert not host_memory.hand_back_freed_memory()
