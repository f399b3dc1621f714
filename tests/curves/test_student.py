"""Student's t against SciPy's, from one degree of freedom, whole or not, far into the tail."""

import pytest
from scipy.stats import t as student

from unplateau.curves.student import t_beyond, t_quantile, t_two_sided

FREEDOMS = (1, 1.3, 2, 2.7, 3, 5, 10, 40.5, 500, 1e5)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("value", [1e-3, 0.3, 1.0, 2.5, 8.0, 60.0])
def test_the_tail_is_the_exact_one(value: float, freedom: float) -> None:
    assert t_two_sided(value, freedom) == pytest.approx(2 * student.sf(value, freedom), rel=1e-6, abs=1e-200)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("probability", [0.5, 0.501, 0.6, 0.9, 0.975, 0.9999, 1 - 1e-7])
def test_quantiles_are_the_exact_ones(probability: float, freedom: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(student.ppf(probability, freedom), rel=1e-5, abs=1e-9)
    assert t_quantile(1 - probability, freedom) == pytest.approx(student.ppf(1 - probability, freedom), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("share", [0.999, 0.5, 0.05, 1e-6, 1e-12])
def test_quantile_and_tail_undo_each_other(share: float, freedom: float) -> None:
    assert t_two_sided(t_beyond(share, freedom), freedom) == pytest.approx(share, rel=1e-6)
