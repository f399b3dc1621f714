"""How many images and identities each data set has where it was published, and what is said when a copy differs.

Subsets are legitimate (a split for a quick try, a copy without distractors), so a difference is a note and never an error.
Counts are of what is read here: junk is not counted, distractors are.
"""

from dataclasses import dataclass

from unplateau.data.items import DatasetFiles, num_cameras, num_identities


@dataclass(frozen=True)
class OfficialCounts:
    """Published counts; None where sources disagree."""

    train_identities: int | None
    train: int | None
    query: int
    gallery: int
    cameras: int


OFFICIAL_COUNTS: dict[str, OfficialCounts] = {
    # Zheng et al. 2015: 19,732 gallery files, of which 3,819 are junk and 2,798 distractors
    "Market1501": OfficialCounts(751, 12_936, 3_368, 15_913, 6),
    "Market1501Mini": OfficialCounts(150, 2_967, 686, 3_133, 6),  # defined here
    "MSMT17_V1": OfficialCounts(1_041, 32_621, 11_659, 82_161, 15),  # Wei et al. 2018; train is list_train and list_val together
    "MSMT17_V2": OfficialCounts(1_041, 32_621, 11_659, 82_161, 15),  # the same images with faces masked
    "DukeMTMC": OfficialCounts(702, 16_522, 2_228, 17_661, 8),  # Zheng et al. 2017
    "CUHK03Labeled": OfficialCounts(
        767, 7_368, 1_400, 5_328, 2
    ),  # Zhong et al. 2017, new protocol; five pairs of cameras seen as one
    "CUHK03Detected": OfficialCounts(767, 7_365, 1_400, 5_332, 2),
    "VeRi": OfficialCounts(None, None, 1_678, 11_579, 20),  # Liu et al. 2016; training counts differ between releases
}


def count_notes(files: DatasetFiles) -> tuple[str, ...]:
    """Return a sentence on how a data set differs from the published one; none where it does not, or nothing is published."""
    official = OFFICIAL_COUNTS.get(files.name)
    if official is None:
        return ()
    pairs = (
        ("training identities", num_identities(files.train), official.train_identities),
        ("training images", len(files.train), official.train),
        ("query images", len(files.query), official.query),
        ("gallery images", len(files.gallery), official.gallery),
        ("cameras", num_cameras(files.train + files.query + files.gallery), official.cameras),
    )
    differences = [f"{here:,} {what} ({there:,})" for what, here, there in pairs if there is not None and here != there]
    if not differences:
        return ()
    return (
        f"{files.name}: this copy is not the published one (published counts in brackets): {', '.join(differences)}. "
        "Fine for a subset; scores do not compare with published ones.",
    )
