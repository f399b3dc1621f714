"""Readers of arrays and tensors: features, weight files, resume checkpoints."""

import io
import random
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as to_safetensors

from benchmarks.fuzz import run_folders
from benchmarks.fuzz.hostile import hostile_files, rezipped
from benchmarks.fuzz.mutating import mutated
from benchmarks.fuzz.parser import Play, spoilt, written
from unplateau.engine.checkpoint import load_checkpoint
from unplateau.evaluation.features_file import read_query_and_gallery
from unplateau.models.weight_files import read_weights
from unplateau.runs.layout import RunFolder


def features(folder: Path, canary: Path) -> Play:
    arrays, pickled = io.BytesIO(), io.BytesIO()
    given = {
        f"{part}_{name}": np.ones((4, 3), np.float32) if name == "features" else np.arange(1, 5)
        for part in ("query", "gallery")
        for name in ("features", "person_ids", "camera_ids")
    }
    np.savez(arrays, **given)
    np.savez(pickled, **given, extra=np.array([{"a": 1}], dtype=object), allow_pickle=True)

    def play(rng: random.Random, place: Path) -> None:
        content = spoilt(rng, [arrays.getvalue(), pickled.getvalue()])
        read_query_and_gallery(written(place / "f.npz", rezipped(rng, content) if rng.random() < 0.6 else content))

    return play


def weights(folder: Path, canary: Path) -> Play:
    state = {"conv.weight": torch.ones(4, 3), "bn.num_batches_tracked": torch.tensor(7), "fc.weight": torch.zeros(2, 2).half()}
    good = []
    for content in (state, {"state_dict": state, "epoch": 3}, {"model": {"state_dict": state}}):
        for is_zip in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=is_zip)
            good.append(stream.getvalue())
    hostile, safe = hostile_files(canary, state), to_safetensors(state)

    def play(rng: random.Random, place: Path) -> None:
        kind = rng.random()
        if kind < 0.25:
            read_weights(written(place / "w.safetensors", mutated(rng, [safe])))
            return
        content = rng.choice(hostile) if kind < 0.35 else spoilt(rng, hostile if kind < 0.6 else good)
        read_weights(written(place / "w.pth", rezipped(rng, content) if rng.random() < 0.4 else content))

    return play


def checkpoints(folder: Path, canary: Path) -> Play:
    whole = run_folders.checkpoints()
    hostile = hostile_files(canary, {"epoch": 2, "model": {}})

    def play(rng: random.Random, place: Path) -> None:
        run = RunFolder(place / "run")
        shutil.rmtree(run.path, ignore_errors=True)
        run.checkpoints.mkdir(parents=True)
        for name, content in whole.items():
            spoilt = rng.choice(hostile) if rng.random() < 0.2 else rezipped(rng, content) if rng.random() < 0.4 else content
            (run.checkpoints / name).write_bytes(mutated(rng, [spoilt]) if rng.random() < 0.3 else spoilt)
        is_right = rng.random() < 0.6  # the stranger writes checksums that fit
        manifest = run_folders.manifest(run) if is_right else mutated(rng, [run_folders.manifest(run)])
        run.checkpoint_manifest.write_bytes(manifest)
        load_checkpoint(run)

    return play
