"""Whether an address on the network answers. Never waits long."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable

ANSWER_SECONDS = 5.0  # an address that has not answered by then counts as out of reach


def answers(address: str) -> bool:
    """Say whether anything at all comes back; in a thread, since looking up a name may hang for longer than any timeout."""
    answered: list[bool] = []
    thread = threading.Thread(target=lambda: answered.append(any_response(address)), daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return bool(answered and answered[0])


def any_response(address: str, opener: Callable[..., object] = urllib.request.urlopen) -> bool:
    """Ask for the address's head; a refusal is an answer too."""
    try:
        opener(urllib.request.Request(address, method="HEAD"), timeout=ANSWER_SECONDS)
    except urllib.error.HTTPError:
        return True  # it refuses, so it is there
    except (OSError, ValueError):
        return False
    return True
