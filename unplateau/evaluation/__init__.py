"""Evaluation of re-ID by retrieval, in NumPy alone: importing this never imports torch. See docs/evaluation.md.

    from unplateau.evaluation import Embedded, retrieve
    result = retrieve(Embedded(query_features, query_ids, query_cameras), Embedded(gallery_features, ...))

`unplateau.evaluation.extract` (which does need torch) makes embeddings from images and is imported by its own name.
"""

from unplateau.evaluation.chance import chance_average_precision
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import Retrieval, retrieve

__all__ = ["Embedded", "Retrieval", "chance_average_precision", "retrieve"]
