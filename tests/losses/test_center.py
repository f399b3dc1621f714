import pytest
import torch

from unplateau.losses.center import CenterLoss


def test_the_loss_is_the_mean_squared_distance_to_the_identitys_centre():
    loss = CenterLoss(num_identities=3, feature_dim=2)
    with torch.no_grad():
        loss.centers_ID.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]]))
    features = torch.tensor([[3.0, 4.0], [1.0, 3.0]])
    term = loss(features, None, torch.tensor([0, 1]))
    assert term.value.item() == (25 + 4) / 2


@pytest.mark.parametrize("scale", [0.0005, 1.0, 2.0])
def test_centres_move_the_same_whatever_the_weight_of_the_loss(scale):
    loss = CenterLoss(num_identities=2, feature_dim=3, scale=scale)
    features = torch.ones(4, 3, requires_grad=True)
    (scale * loss(features, None, torch.tensor([0, 0, 1, 1])).value).backward()
    torch.testing.assert_close(loss.centers_ID.grad, torch.full((2, 3), -1.0))
    torch.testing.assert_close(features.grad, torch.full((4, 3), scale * 0.5))


def test_plain_descent_on_the_centres_reaches_the_means_of_the_identities():
    loss = CenterLoss(num_identities=2, feature_dim=4)
    generator = torch.Generator().manual_seed(0)
    features, ids = torch.randn(10, 4, generator=generator), torch.arange(10) % 2
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        loss(features, None, ids).value.backward()
        optimizer.step()
    torch.testing.assert_close(loss.centers_ID.detach(), torch.stack([features[ids == k].mean(0) for k in range(2)]))
