"""Retrieval among identities that were trained on beside retrieval among identities never seen. Cost: one more evaluation.

Both galleries should be of the same make and size: mAP falls with the size of the gallery, so its chance levels are measured too.
"""

from unplateau.runs.record import Measurement, RetrievalMetrics


def train_identity_gap(
    trained: RetrievalMetrics, unseen: RetrievalMetrics, *, step: int | None = None
) -> tuple[Measurement, ...]:
    """Compare two evaluations of one model.

    Args:
        trained: of images held out of training, of identities trained on.
        unseen: of identities held out of training.
        step: of the run.

    Returns:
        map_of_trained_identities, map_of_unseen_identities, train_identity_gap (their difference), and both chance levels.
    """
    sizes = f"galleries of {trained.num_gallery} and {unseen.num_gallery} images"
    return (
        Measurement("map_of_trained_identities", trained.mAP, "mAP", step),
        Measurement("map_of_unseen_identities", unseen.mAP, "mAP", step),
        Measurement("train_identity_gap", trained.mAP - unseen.mAP, "mAP", step, note=sizes),
        Measurement("chance_of_trained_identities", trained.chance_mAP, "mAP", step),
        Measurement("chance_of_unseen_identities", unseen.chance_mAP, "mAP", step),
    )
