"""Whether an address answers."""

import urllib.error

import pytest

from unplateau.base import reachable


def test_a_server_that_refuses_is_there() -> None:
    def refuses(*_: object, **__: object) -> None:
        raise urllib.error.HTTPError("https://example.org", 403, "no", None, None)  # type: ignore[arg-type]

    assert reachable.any_response("https://example.org", refuses)


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), TimeoutError(), ValueError("unknown url type")])
def test_what_cannot_be_asked_does_not_answer(error: Exception) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    assert not reachable.any_response("https://example.org", fails)
