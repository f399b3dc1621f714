"""Addresses as they may be shown and written down."""

import re


def without_password(url: str) -> str:
    """Return a URL with the word PASSWORD for its password.

    >>> without_password("postgresql://lab:secret@db/searches")
    'postgresql://lab:PASSWORD@db/searches'
    >>> without_password("sqlite:///search.db")
    'sqlite:///search.db'
    """
    return re.sub(r"(?<=://)([^:/@]*):[^/]*@", r"\1:PASSWORD@", url)
