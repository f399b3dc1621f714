"""One query and the rows of its first answers; which queries are chosen: `rank_lists`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RankedRows:
    """One chosen query and its first answers, as rows of query and gallery."""

    kind: str
    average_precision: float
    first_match_rank: int
    query_row: int
    gallery_rows: tuple[int, ...]
    is_right: tuple[bool, ...]
