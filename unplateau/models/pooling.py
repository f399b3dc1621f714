"""Poolings from feature map to vector, by fast-reid's names. B batch, C channels, H/W feature map.

Generalised-mean (GeM) pooling: Radenovic et al. 2018, arXiv 1711.02512, eq. 3. What follows the pooling: `head`.
"""

import torch
from torch import Tensor, nn

GEM_POWER = 3.0  # start of the exponent in Radenovic et al. 2018
_GEM_FLOOR = 1e-6  # keeps the power differentiable at zero; fast-reid's value


class AveragePooling(nn.Module):
    """Mean over the map."""

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return maps_BCHW.mean(dim=(2, 3))


class MaxPooling(nn.Module):
    """Largest value of the map."""

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return maps_BCHW.amax(dim=(2, 3))


class AverageMaxPooling(nn.Module):
    """Sum of mean and largest value, as fast-reid's AdaptiveAvgMaxPool."""

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return maps_BCHW.mean(dim=(2, 3)) + maps_BCHW.amax(dim=(2, 3))


class GeneralizedMean(nn.Module):
    """`mean(x ** p) ** (1 / p)` of the map's positive part; computed in float32, since powers overflow in half precision.

    Args:
        learns_power: p is a parameter, of shape (1,), else a constant.
    """

    def __init__(self, *, learns_power: bool) -> None:
        super().__init__()
        power = torch.full((1,), GEM_POWER)
        self.p: Tensor
        if learns_power:
            self.p = nn.Parameter(power)
        else:
            self.register_buffer("p", power, persistent=False)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        with torch.autocast(device_type=maps_BCHW.device.type, enabled=False):
            powers_BCHW = maps_BCHW.float().clamp(min=_GEM_FLOOR).pow(self.p.float())
            return powers_BCHW.mean(dim=(2, 3)).pow(1.0 / self.p.float())


class VectorPooling(nn.Module):
    """No pooling: the backbone gives vectors already."""

    def forward(self, features_BD: Tensor) -> Tensor:
        return features_BD


def build_pooling(name: str, *, takes_vectors: bool) -> nn.Module:
    """Return the pooling `MODEL.HEADS.POOL_LAYER` names; a backbone that gives vectors needs none.

    Args:
        name: fast-reid's name, already checked by the schema.
        takes_vectors: the backbone gives (B, D) instead of (B, C, H, W).
    """
    if takes_vectors:
        return VectorPooling()
    if name in ("GeneralizedMeanPooling", "GeneralizedMeanPoolingP"):
        return GeneralizedMean(learns_power=name.endswith("P"))
    return _PLAIN[name]()


_PLAIN: dict[str, type[nn.Module]] = {
    "GlobalAvgPool": AveragePooling,
    "FastGlobalAvgPool": AveragePooling,
    "GlobalMaxPool": MaxPooling,
    "AdaptiveAvgMaxPool": AverageMaxPooling,
}
