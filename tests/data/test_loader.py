from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unplateau.base.errors import ConfigError, DataError
from unplateau.config.schema import Config
from unplateau.data.image_source import CachedImages, open_images
from unplateau.data.items import Item
from unplateau.data.loader import EvaluationLoader, TrainLoader
from unplateau.data.samplers import BatchShape
from unplateau.data.transforms import Augmentation

SIZE = (16, 8)
ON = {"ENABLED": True}


@pytest.fixture
def items(tmp_path) -> list[Item]:
    """Six persons with ids 10, 20, ... of four images each, in three cameras and an unknown one."""
    generator = np.random.default_rng(0)
    made = []
    for index in range(24):
        path = tmp_path / f"{index:02d}.png"
        Image.fromarray(generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)
        made.append(Item(str(path), 10 * (index // 4 + 1), index % 4 - 1, "set"))
    return made


def config_of(tmp_path: Path, **sections) -> Config:
    plain = {
        "SEED": 3,
        "INPUT": {
            "SIZE_TRAIN": SIZE,
            "SIZE_TEST": SIZE,
            "FLIP": ON,
            "PADDING": {"ENABLED": True, "SIZE": 2},
            "CJ": ON,
            "REA": ON,
        },
        "DATALOADER": {"SAMPLER_TRAIN": "NaiveIdentitySampler", "NUM_INSTANCE": 2, "CACHE_DIR": str(tmp_path / "cache")},
        "SOLVER": {"IMS_PER_BATCH": 8},
        "TEST": {"IMS_PER_BATCH": 7},
    }
    for name, values in sections.items():
        plain[name] = {**plain.get(name, {}), **values}
    return Config.model_validate(plain)


def epoch_of(loader: TrainLoader, epoch: int) -> list[torch.Tensor]:
    return [torch.cat([batch.images_BCHW.flatten(), batch.person_ids_B, batch.camera_ids_B]) for batch in loader.epoch(epoch)]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_training_batch_has_labels_cameras_and_normalised_images(items, tmp_path):
    loader = TrainLoader(items, config_of(tmp_path), device="cpu", channels_last=True)
    assert loader.person_of_label == (10, 20, 30, 40, 50, 60)
    assert (loader.num_identities, loader.num_cameras, loader.steps_per_epoch) == (6, 3, 3)
    batches = list(loader.epoch(1))
    assert len(batches) == 3
    for batch in batches:
        assert batch.images_BCHW.shape == (8, 3, *SIZE)
        assert batch.images_BCHW.dtype == torch.float32
        assert batch.images_BCHW.is_contiguous(memory_format=torch.channels_last)
        assert batch.person_ids_B.dtype == batch.camera_ids_B.dtype == torch.int64
        assert torch.bincount(batch.person_ids_B).max() == 2
    images = torch.cat([batch.images_BCHW for batch in batches])
    assert abs(images.mean()) < 1
    assert 0.5 < images.std() < 2


def test_images_and_labels_belong_together(items, tmp_path):
    config = config_of(tmp_path, INPUT={"FLIP": {}, "PADDING": {}, "CJ": {}, "REA": {}})
    loader = TrainLoader(items, config, device="cpu")
    normalise = Augmentation.for_evaluation(config).apply
    expected = {normalised(item, normalise): item for item in items}
    for batch in loader.epoch(1):
        for image, label, camera in zip(batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B, strict=True):
            item = expected[image.numpy().tobytes()]
            assert (item.person_id, item.camera_id) == (loader.person_of_label[label], camera)


def normalised(item: Item, normalise) -> bytes:
    pixels = torch.from_numpy(np.array(Image.open(item.path))).permute(2, 0, 1)[None]
    return normalise(pixels)[0].contiguous().numpy().tobytes()


@pytest.mark.parametrize("sampler", ["TrainingSampler", "NaiveIdentitySampler", "BalancedIdentitySampler"])
def test_an_epoch_is_the_same_with_and_without_the_cache_and_whatever_came_before(items, tmp_path, sampler):
    chosen = {"SAMPLER_TRAIN": sampler}
    cached = TrainLoader(items, config_of(tmp_path, DATALOADER=chosen), device="cpu")
    decoded = TrainLoader(items, config_of(tmp_path, DATALOADER={**chosen, "CACHE": "off", "NUM_WORKERS": 0}), device="cpu")
    assert isinstance(cached.images, CachedImages)
    assert not isinstance(decoded.images, CachedImages)
    first = epoch_of(cached, 1)
    second = epoch_of(cached, 2)
    assert same(second, epoch_of(decoded, 2))
    assert same(first, epoch_of(decoded, 1))
    assert same(second, epoch_of(cached, 2))
    assert not same(first, second)
    other_seed = config_of(tmp_path, DATALOADER=chosen).model_copy(update={"SEED": 4})
    assert not same(first, epoch_of(TrainLoader(items, other_seed, device="cpu"), 1))


@pytest.mark.slow
def test_an_epoch_is_the_same_with_loader_processes(items, tmp_path):
    alone, helped = (
        TrainLoader(items, config_of(tmp_path, DATALOADER={"CACHE": "off", "NUM_WORKERS": count}), device="cpu")
        for count in (0, 2)
    )
    assert same(epoch_of(alone, 1), epoch_of(helped, 1))


def test_processes_see_different_identities_and_different_augmentation(items, tmp_path):
    config = config_of(tmp_path)
    shapes = [BatchShape.from_config(config, rank=rank, world_size=2) for rank in (0, 1)]
    loaders = [TrainLoader(items, config, device="cpu", shape=shape) for shape in shapes]
    assert [loader.steps_per_epoch for loader in loaders] == [3, 3]
    for one, other in zip(*(loader.epoch(1) for loader in loaders), strict=True):
        assert len(one.person_ids_B) == 4
        assert not set(one.person_ids_B.tolist()) & set(other.person_ids_B.tolist())


def test_the_memory_layout_changes_no_value(items, tmp_path):
    plain, channels_last = (
        next(iter(TrainLoader(items, config_of(tmp_path), device="cpu", channels_last=chosen).epoch(1)))
        for chosen in (False, True)
    )
    torch.testing.assert_close(plain.images_BCHW, channels_last.images_BCHW)
    assert plain.images_BCHW.is_contiguous()


def test_an_epoch_leaves_the_global_random_state_alone(items, tmp_path):
    state = torch.get_rng_state()
    list(TrainLoader(items, config_of(tmp_path), device="cpu").epoch(1))
    assert torch.equal(state, torch.get_rng_state())


def test_evaluation_keeps_the_order_and_the_ids_of_the_items(items, tmp_path):
    config = config_of(tmp_path)
    loader = EvaluationLoader(items, config, device="cpu")
    normalise = Augmentation.for_evaluation(config).apply
    assert len(loader) == 4
    for _ in range(2):  # as often as needed
        batches = list(loader)
        assert [len(batch.person_ids_B) for batch in batches] == [7, 7, 7, 3]
        assert torch.cat([batch.person_ids_B for batch in batches]).tolist() == [item.person_id for item in items]
        assert torch.cat([batch.camera_ids_B for batch in batches]).tolist() == [item.camera_id for item in items]
        images = torch.cat([batch.images_BCHW for batch in batches])
        assert [image.numpy().tobytes() for image in images] == [normalised(item, normalise) for item in items]


def test_one_cache_serves_training_and_held_out_images(items, tmp_path):
    config = config_of(tmp_path)
    images = open_images(items, SIZE, config)
    training = TrainLoader(items[:16], config, device="cpu", images=images)
    held_out = EvaluationLoader(items[16:], config, device="cpu", images=training.images)
    assert training.images is held_out.images is images
    assert len(list((tmp_path / "cache" / "images").glob("*.images"))) == 1
    list(training.epoch(1))
    list(held_out)


def test_a_source_that_does_not_fit_is_left_aside(items, tmp_path):
    config = config_of(tmp_path)
    training = TrainLoader(items[:16], config, device="cpu")
    other_images = EvaluationLoader(items[16:], config, device="cpu", images=training.images)
    other_size = EvaluationLoader(
        items[:16], config_of(tmp_path, INPUT={"SIZE_TEST": (8, 8)}), device="cpu", images=training.images
    )
    assert other_images.images is not training.images
    assert next(iter(other_size)).images_BCHW.shape[2:] == (8, 8)


def test_what_cannot_be_drawn_is_refused_at_once(items, tmp_path):
    with pytest.raises(ConfigError, match="IMS_PER_BATCH is 7"):
        TrainLoader(items, config_of(tmp_path, SOLVER={"IMS_PER_BATCH": 7}), device="cpu")
    with pytest.raises(DataError, match="needs 8 identities a step; the training set has 6"):
        TrainLoader(items, config_of(tmp_path, SOLVER={"IMS_PER_BATCH": 16}), device="cpu")
    with pytest.raises(DataError, match="no image"):
        TrainLoader([], config_of(tmp_path), device="cpu")
    with pytest.raises(DataError, match="no image"):
        EvaluationLoader([], config_of(tmp_path), device="cpu")


def test_items_of_unknown_cameras_are_balanced_as_one_camera(items, tmp_path):
    blind = [Item(item.path, item.person_id, -1, item.dataset) for item in items]
    loader = TrainLoader(blind, config_of(tmp_path, DATALOADER={"SAMPLER_TRAIN": "BalancedIdentitySampler"}), device="cpu")
    assert loader.num_cameras == 0
    assert all((batch.camera_ids_B == -1).all() for batch in loader.epoch(1))
