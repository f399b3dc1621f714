"""Which gallery images are right answers to a query, and which count neither way. The junk and camera rules live here.

The rules are those of Market-1501 (Zheng et al. 2015): of the gallery, an image of the query's own person from the
query's own camera is left out (it would be too easy), and so is every junk image (person -1). All else that is not the
query's person is a mistake when it ranks ahead, distractors included.

Shapes: Q queries, G gallery, B queries of a block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.embedded import JUNK_PERSON, UNKNOWN_CAMERA, Embedded

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Right answers and left-out images of every query, as stretches of one gallery order (a few numbers a query)."""

    order_G: Rows  # noqa: N815
    """Gallery rows sorted by person, then camera."""
    own_Q2: Rows  # noqa: N815
    """Start and end, in that order, of the query's person."""
    same_camera_Q2: Rows  # noqa: N815
    """Start and end of the left-out part of it; empty where the query's camera is unknown."""
    junk_rows: Rows
    """Gallery rows that no query counts."""

    @property
    def num_positives_Q(self) -> Rows:  # noqa: N802
        """Right answers of each query."""
        return np.diff(self.own_Q2)[:, 0] - np.diff(self.same_camera_Q2)[:, 0]

    @property
    def num_counted_Q(self) -> Rows:  # noqa: N802
        """Gallery images that a ranking for each query consists of."""
        return len(self.order_G) - len(self.junk_rows) - np.diff(self.same_camera_Q2)[:, 0]

    @property
    def most_own(self) -> int:
        """Most gallery images that any query's person has."""
        return int(np.diff(self.own_Q2).max(initial=0))

    def own(self, queries_B: Rows) -> tuple[Rows, Rows, Rows]:
        """Return (block row, gallery row) of each image of each query's person, and where each query's begin."""
        return self._spread(self.own_Q2[queries_B])

    def positives(self, queries_B: Rows) -> tuple[Rows, Rows, Rows]:
        """Return (block row, gallery row) of each right answer of each query, and where each query's begin."""
        own_B2, same_camera_B2 = self.own_Q2[queries_B], self.same_camera_Q2[queries_B]
        before_and_after = np.stack((own_B2[:, 0], same_camera_B2[:, 0], same_camera_B2[:, 1], own_B2[:, 1]), axis=1)
        half_rows, gallery_rows, starts = self._spread(before_and_after.reshape(-1, 2))
        return half_rows // 2, gallery_rows, starts[::2]

    def _spread(self, stretches_B2: Rows) -> tuple[Rows, Rows, Rows]:
        sizes_B = np.diff(stretches_B2)[:, 0]
        starts_B = np.cumsum(sizes_B) - sizes_B
        places = np.arange(sizes_B.sum()) + np.repeat(stretches_B2[:, 0] - starts_B, sizes_B)
        return np.repeat(np.arange(len(sizes_B)), sizes_B), self.order_G[places], starts_B


def find_matches(query: Embedded, gallery: Embedded) -> Matches:
    """Return the right answers and left-out images of every query."""
    order_G = np.lexsort((gallery.camera_ids_N, gallery.person_ids_N))
    persons_G, cameras_G = gallery.person_ids_N[order_G], gallery.camera_ids_N[order_G]
    own_Q2 = _stretches(persons_G, query.person_ids_N)
    own_Q2[query.person_ids_N == JUNK_PERSON] = 0
    same_camera_Q2 = _stretches(*_pair_codes(persons_G, cameras_G, query))
    rule_does_not_apply_Q = (query.camera_ids_N == UNKNOWN_CAMERA) | (query.person_ids_N == JUNK_PERSON)
    same_camera_Q2[rule_does_not_apply_Q] = own_Q2[rule_does_not_apply_Q, :1]
    return Matches(order_G, own_Q2, same_camera_Q2, np.flatnonzero(gallery.person_ids_N == JUNK_PERSON))


def _stretches(sorted_G: Rows, wanted_Q: Rows) -> Rows:
    return np.stack((np.searchsorted(sorted_G, wanted_Q, "left"), np.searchsorted(sorted_G, wanted_Q, "right")), axis=1)


def _pair_codes(persons_G: Rows, cameras_G: Rows, query: Embedded) -> tuple[Rows, Rows]:
    """Number (person, camera) pairs so that the numbers sort as the pairs do."""
    persons, person_codes = np.unique(np.concatenate((persons_G, query.person_ids_N)), return_inverse=True)
    cameras, camera_codes = np.unique(np.concatenate((cameras_G, query.camera_ids_N)), return_inverse=True)
    codes = person_codes * len(cameras) + camera_codes
    return codes[: len(persons_G)], codes[len(persons_G) :]
