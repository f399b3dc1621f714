import torch

from unplateau.engine.train_step import train_step
from unplateau.testing.tiny_problem import TinyLoader, tiny_config, tiny_parts, tiny_problem


def test_batches_are_pk_and_depend_on_the_epoch_alone():
    loader = TinyLoader(tiny_problem(), batch_size=16, images_each=4)
    first, again, other = (list(loader.epoch(epoch)) for epoch in (1, 1, 2))
    assert len(first) == loader.steps_per_epoch == 4
    for batch in first:
        assert batch.images_BCHW.shape == (16, 3, 16, 8)
        assert batch.person_ids_B.unique(return_counts=True)[1].tolist() == [4, 4, 4, 4]
    assert all(torch.equal(a.images_BCHW, b.images_BCHW) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].images_BCHW, other[0].images_BCHW)


def test_another_seed_is_another_problem():
    assert torch.equal(tiny_problem(seed=1).images_NCHW, tiny_problem(seed=1).images_NCHW)
    assert not torch.equal(tiny_problem(seed=1).images_NCHW, tiny_problem(seed=2).images_NCHW)


def test_items_agree_with_the_tensors():
    problem = tiny_problem(num_identities=4, images_each=4)
    assert [item.person_id for item in problem.items()] == problem.person_ids_N.tolist()


def test_a_whole_training_learns_it_in_a_few_epochs():
    parts = tiny_parts()
    losses = [float(train_step(parts, batch).total) for epoch in range(1, 9) for batch in parts.train_loader.epoch(epoch)]
    assert losses[-1] < 0.3 * losses[0]


def test_settings_are_merged_into_the_configuration():
    config = tiny_config(SOLVER={"OPT": "SGD"}, MODEL={"LOSSES": {"NAME": ("CrossEntropyLoss",)}})
    assert config.SOLVER.OPT == "SGD" and config.SOLVER.IMS_PER_BATCH == 16
    assert config.MODEL.LOSSES.NAME == ("CrossEntropyLoss",) and config.MODEL.HEADS.WITH_BNNECK
