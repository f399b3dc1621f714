import pytest
import torch

from unplateau.probes.sampling import drawn_elsewhere, sampling

from .reading import value


def pk(seed, *, batches=10, people=20, each=4, in_batch=5):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(people, generator=generator)[:in_batch].repeat_interleave(each) for _ in range(batches)]


def test_pk_batches_hold_pairs_of_several_people_and_differ_between_epochs():
    found = sampling(pk(0), pk(1), num_identities=20)
    assert value(found, "images_in_batch") == 20 and value(found, "identities_in_batch_mean") == 5
    assert value(found, "batch_with_positive") == 1.0
    assert value(found, "same_order_next_epoch") < 0.3


def test_an_epoch_that_repeats_the_last_is_seen():
    assert value(sampling(pk(0), pk(0), num_identities=20), "same_order_next_epoch") == 1.0


def test_images_without_a_partner_are_counted():
    found = sampling([torch.tensor([0, 0, 1, 2])], [torch.tensor([3, 3, 1, 2])], num_identities=4)
    assert value(found, "batch_with_positive") == 0.5
    assert value(found, "same_order_next_epoch") == 0.5


def test_people_who_never_come_up_are_missed_beside_random_draws():
    few = sampling(pk(0, people=6), pk(1, people=6), num_identities=60)
    assert value(few, "identities_seen") == pytest.approx(0.1)
    assert value(few, "identities_expected") == pytest.approx(1 - (1 - 5 / 60) ** 10)
    drawn = [value(sampling(pk(seed), pk(1), num_identities=20), "identities_seen") for seed in range(40)]
    assert sum(drawn) / 40 == pytest.approx(1 - (1 - 5 / 20) ** 10, abs=0.02)


def test_draws_are_as_far_apart_as_half_of_what_their_shares_differ_by():
    meant, again = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    found = drawn_elsewhere(torch.tensor([2, 2, 2, 2]), meant, again, of="cameras")
    assert value(found, "drawn_apart", "cameras") == 1.0
    assert value(found, "drawn_apart_by_chance", "cameras") == pytest.approx(0.25)
    assert value(drawn_elsewhere(meant.repeat(3), meant, again, of="cameras"), "drawn_apart", "cameras") == 0.0
