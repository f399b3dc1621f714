"""How findings are brought together: what one of them makes of another."""

import dataclasses

from tests.diagnosis.made_cases import MARKET, falling, flat, make_case
from unplateau.diagnosis.diagnose import diagnose

_OVER = dataclasses.replace(MARKET, max_epochs=30)


def _codes(case) -> set[str]:
    return {finding.code for finding in diagnose(case).findings if finding.confidence >= 0.5}


def test_a_run_at_far_too_low_a_rate_is_not_called_finished():
    slow = make_case(
        _OVER, cross_entropy=falling(6.724, 6.70, 30, noise=0.0003), triplet=falling(2.8, 1.8, noise=0.01),
        mAP=flat(0.16, 0.003), learning_rate=flat(3.5e-6),
    )  # fmt: skip
    assert "learning-rate-too-low" in _codes(slow)
    assert "finished" not in _codes(slow)


def test_a_converged_run_without_a_fault_is_called_finished():
    done = make_case(
        _OVER, cross_entropy=falling(6.724, 1.0, 4), triplet=falling(2.8, 0.02, 4), mAP=falling(0.02, 0.8, 3, noise=0.003),
        learning_rate=flat(3.5e-4),
    )  # fmt: skip
    assert "finished" in _codes(done)
