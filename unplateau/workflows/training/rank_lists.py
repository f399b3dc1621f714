"""The ranked lists of a scored task, from rows of arrays to images with their paths, as `rank_lists.json` holds them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from unplateau.base.files import read_json, write_json
from unplateau.data.items import Item
from unplateau.engine.scoring import RetrievalTask
from unplateau.evaluation.ranked_rows import RankedRows
from unplateau.evaluation.ranking import Retrieval
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import RankedImage, RankedQuery, RankList, to_plain

_log = logging.getLogger(__name__)


def rank_list_of(task: RetrievalTask, retrieval: Retrieval) -> RankList:
    """Return the task's chosen queries with the images they found."""
    return RankList(task.protocol, task.dataset, tuple(_query(task, one) for one in retrieval.rank_lists))


def write_rank_lists(folder: RunFolder, lists: Sequence[RankList], *, keeps_others: bool) -> None:
    """Write ranked lists; with `keeps_others` those of other tasks stay as they are in the file."""
    new = [to_plain(one) for one in lists if one.queries]
    names = {(one["protocol"], one["dataset"]) for one in new}
    known = _known(folder) if keeps_others and folder.rank_lists.exists() else []
    kept = [one for one in known if (one.get("protocol"), one.get("dataset")) not in names]
    if new or kept:
        write_json(folder.rank_lists, [*kept, *new])


def _known(folder: RunFolder) -> list[dict[str, Any]]:
    try:
        known = read_json(folder.rank_lists)
    except (OSError, ValueError) as problem:
        _log.warning("%s cannot be read, so the lists in it are lost: %s", folder.rank_lists, problem)
        return []
    return [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []


def _query(task: RetrievalTask, rows: RankedRows) -> RankedQuery:
    answers = zip(rows.gallery_rows, rows.is_right, strict=True)
    return RankedQuery(
        rows.kind,
        rows.average_precision,
        rows.first_match_rank,
        _image(task.query[rows.query_row]),
        tuple(_image(task.gallery[row], is_right=is_right) for row, is_right in answers),
    )


def _image(item: Item, *, is_right: bool = False) -> RankedImage:
    return RankedImage(item.path, item.person_id, item.camera_id, is_right)
