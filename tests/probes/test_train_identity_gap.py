from unplateau.probes.train_identity_gap import train_identity_gap
from unplateau.runs.record import RetrievalMetrics

from .reading import value


def metrics(mean_ap, num_gallery):
    return RetrievalMetrics(
        protocol="held-out", mAP=mean_ap, mINP=0.1, cmc={"1": 0.5}, num_queries=10, num_gallery=num_gallery,
        num_identities=5, chance_mAP=0.02,
    )  # fmt: skip


def test_the_gap_is_the_difference_and_names_both_galleries():
    found = train_identity_gap(metrics(0.75, 100), metrics(0.5, 90))
    assert value(found, "train_identity_gap") == 0.25
    assert [m.note for m in found if m.note] == ["galleries of 100 and 90 images"]
