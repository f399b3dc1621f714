"""Pickles that run code when they are opened carelessly, in all the wrappings a checkpoint comes in."""

import builtins
import io
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import torch


class Trap:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


def hostile_pickles(canary: Path) -> list[bytes]:
    """Return pickled programs that would make a folder at `canary`."""
    code = f"import os; os.mkdir({str(canary)!r})"
    traps = [
        Trap(os.mkdir, str(canary)),
        Trap(builtins.exec, code),
        Trap(builtins.eval, f"__import__('os').mkdir({str(canary)!r})"),
        Trap(os.system, f"mkdir {canary}"),
    ]
    by_hand = [
        f"cos\nmkdir\n(S'{canary}'\ntR.".encode(),
        f"c__builtin__\nexec\n(S'{code}'\ntR.".replace("'os.mkdir('", "'").encode(),
        b"\x80\x02ctorch.hub\nload\n(X\x04\x00\x00\x00a/bcX\x01\x00\x00\x00mtR.",
    ]
    return [pickle.dumps(trap, protocol=protocol) for trap in traps for protocol in (0, 2, 4)] + by_hand


def hostile_files(canary: Path, good: dict[str, Any]) -> list[bytes]:
    """Return files as torch.save might have left them, with a program among the tensors."""
    files = list(hostile_pickles(canary))
    for trap in (Trap(os.mkdir, str(canary)), Trap(builtins.exec, f"import os; os.mkdir({str(canary)!r})")):
        for content in ({**good, "extra": trap}, {"model": trap}, [trap], trap):
            for is_zip in (True, False):
                stream = io.BytesIO()
                torch.save(content, stream, _use_new_zipfile_serialization=is_zip)
                files.append(stream.getvalue())
    return files + [_swapped(program, good) for program in hostile_pickles(canary)]


def _swapped(program: bytes, good: dict[str, Any]) -> bytes:
    """A good archive whose pickle is another one."""
    whole, changed = io.BytesIO(), io.BytesIO()
    torch.save(good, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            target.writestr(name, program if name.endswith("data.pkl") else source.read(name))
    return changed.getvalue()


def rezipped(rng: random.Random, content: bytes) -> bytes:
    """Change the pickle or a tensor of an archive and put it together again, so that every checksum within is right."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as source:
            members = {name: source.read(name) for name in source.namelist()}
    except (zipfile.BadZipFile, RuntimeError, ValueError, NotImplementedError, OSError):
        return content
    name = rng.choice(sorted(members) or [""])
    piece = bytearray(members.get(name, b""))
    for _ in range(rng.randint(1, 4) if piece else 0):
        piece[rng.randrange(len(piece))] = rng.randrange(256)
    members[name or "x"] = bytes(piece)
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as target:
        for member, data in members.items():
            target.writestr(member, data)
    return changed.getvalue()
