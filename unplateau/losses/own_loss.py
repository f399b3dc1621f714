"""A user's own loss, named in the configuration as `package.module:function`."""

import inspect
from collections.abc import Callable

from torch import Tensor, nn

from unplateau.base.errors import ConfigError
from unplateau.base.own_code import import_own
from unplateau.losses.terms import Loss, Term


class OwnLoss(Loss):
    """Wraps `function(features_BD, logits_BI, person_ids_B) -> 0-d tensor`; an nn.Module's parameters are trained too."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def term(self, features_BD: Tensor, logits_BI: Tensor | None, person_ids_B: Tensor) -> Term:
        """Return the term. Raises ConfigError where the function gives anything but a 0-d tensor."""
        value = self.function(features_BD, logits_BI, person_ids_B)
        if not isinstance(value, Tensor) or value.dim() != 0:
            given = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ConfigError([f"MODEL.LOSSES.NAME: your own loss gave {given}; it must return one 0-d tensor, such as a mean."])
        return Term(value)


def load_own_loss(path: str, *, num_identities: int, feature_dim: int) -> OwnLoss:
    """Import a function, or an nn.Module class that is then built with `num_identities` and `feature_dim`.

    Raises:
        ConfigError: there is no such module, or nothing callable of that name in it.
    """
    found = import_own(path, key="MODEL.LOSSES.NAME")
    is_module = inspect.isclass(found) and issubclass(found, nn.Module)
    return OwnLoss(found(num_identities=num_identities, feature_dim=feature_dim) if is_module else found)
