"""Inputs made of good ones: cut, flipped, spliced, repeated, nested, and with words in them that no reader expects."""

import random
import re

HTML = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{7*7}}{% for x in ().__class__ %}",
)
_WORDS = (
    *HTML,
    "../../../etc/passwd", "..\\..\\windows\\system32", "C:\\Users\\x", "\\\\server\\share", "CON", "nul.txt",
    "%s%n%x", "{0.__class__}", "${jndi:ldap://x}", "`id`", "$(id)", "!!python/object/apply:os.system ['id']",
    "canary_code:run", "os:system", "\u202egpj.exe", "\u0000", "\ud83d\ude00", "a\u0301" * 40, "\ufeff", "\u0130\u0131\u00df",
    "-", "", " ", "\t", "null", "~", "yes", "NaN", "1e9999", "-0", "0x1F", "1_000", "9" * 400, "9" * 5000, "-1", "1e308", "3,14",
    "inf", "[[[[", "}}}}", "&a [*a, *a]", "*a", "? !", "- - - -", "|", "'", '"', "A" * 20_000,
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TOKEN = re.compile(rb"[A-Za-z_][\w.]{1,30}")
_MOST_BYTES = 2_000_000


def word(rng: random.Random) -> str:
    """Return a word that means trouble somewhere."""
    return rng.choice(_WORDS)


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return one of the seeds with one to four mishaps."""
    content = rng.choice(seeds)
    for _ in range(rng.randint(1, 4)):
        content = rng.choice(_MISHAPS)(rng, content, seeds)[:_MOST_BYTES]
    return content


def _cut(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    start = rng.randint(0, len(content)) if rng.random() < 0.2 else 0
    return content[start : rng.randint(start, len(content))]


def _flip(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _splice(rng: random.Random, content: bytes, seeds: list[bytes]) -> bytes:
    other = rng.choice(seeds)
    return content[: rng.randint(0, len(content))] + other[rng.randint(0, len(other)) :]


def _repeat(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    start = rng.randint(0, len(content))
    piece = content[start : start + rng.choice((1, 2, 30, 300))]
    return content[:start] + piece * rng.choice((2, 20, 2000)) + content[start:]


def _insert(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    place = rng.randint(0, len(content))
    raw = rng.choice(
        (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b"\x1b[31m", b"\xed\xa0\x80", b"\xc3\x28", rng.randbytes(8))
    )
    return content[:place] + (raw if rng.random() < 0.4 else _bytes(word(rng))) + content[place:]


def _replace(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    found = list((_NUMBER if rng.random() < 0.5 else _TOKEN).finditer(content[:100_000]))
    if not found:
        return content
    match = rng.choice(found)
    return content[: match.start()] + _bytes(word(rng)) + content[match.end() :]


def _nest(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    place, depth = rng.randint(0, len(content)), rng.choice((3, 100, 3000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"{a: ", b"}"), (b"- ", b"")))
    return content[:place] + opening * depth + b"1" + closing * rng.choice((0, depth)) + content[place:]


def _recode(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-16-le", "latin-1", "utf-32", "utf-7")), "replace")


def _shuffle(rng: random.Random, content: bytes, _: list[bytes]) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_MISHAPS = (_cut, _flip, _splice, _repeat, _insert, _insert, _replace, _replace, _replace, _nest, _recode, _shuffle)
