"""Ranked lists as blocks of a page: the query, then its first answers, right and wrong marked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from unplateau.report.content import Answer, Ranking, Rankings
from unplateau.runs.record import RankedImage, RankedQuery, RankList


def rankings_block(rank_list: RankList, images: Mapping[str, str]) -> Rankings:
    """Return the queries of one task; `images` by path, as `data:` addresses."""
    return Rankings(tuple(_ranking(rank_list, query, images) for query in rank_list.queries))


def _ranking(rank_list: RankList, query: RankedQuery, images: Mapping[str, str]) -> Ranking:
    score = f"average precision {100 * query.average_precision:.1f} %"
    first = f"first right answer at rank {query.first_match_rank}"
    title = f"{query.kind.capitalize()}: {score}, {first} ({rank_list.dataset}, {rank_list.protocol})"
    return Ranking(title, _answer(query.query, images, is_query=True), tuple(_answer(one, images) for one in query.answers))


def _answer(image: RankedImage, images: Mapping[str, str], *, is_query: bool = False) -> Answer:
    person = "distractor" if image.person_id == 0 else f"person {image.person_id}"
    camera = f", camera {image.camera_id + 1}" if image.camera_id >= 0 else ""
    name = PurePath(image.path.replace("\\", "/")).name
    return Answer(f"{person}{camera}", name, None if is_query else image.is_right, images.get(image.path, ""))
