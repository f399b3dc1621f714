"""What a training is made of, as plain data for `model_info.json` and the report."""

from typing import Any

from unplateau.runs.step_choice import BASES
from unplateau.workflows.training.session import Session


def session_info(session: Session) -> dict[str, Any]:
    """Return what `model_info.json` says of data, model and step."""
    parts, plan = session.parts, session.plan
    return {
        "data": {
            "fingerprint": plan.fingerprint,
            "train_images": len(plan.train),
            "train_identities": parts.train_loader.num_identities,
            "validation": f"{plan.validation.protocol} {plan.validation.dataset}" if plan.validation else "none",
        },
        "model": {
            "backbone": parts.config.MODEL.BACKBONE.NAME,
            "parameters": sum(parameter.numel() for parameter in parts.model.parameters()),
            "feature_dim": parts.model.feature_dim,
            "embedding_dim": parts.model.embedding_dim,
            "pretrained": session.weights.text() if session.weights else "none",
        },
        "step": {
            "precision": parts.precision.name,
            "frozen_layers": session.step.way.frozen_format or parts.precision.name,
            "memory_plan": parts.memory.plan.name,
            "memory_plan_changes": list(parts.memory.told),
            "channels_last": session.step.way.channels_last,
            "cuda_graph": session.step.way.is_graphed,
            "chosen": BASES[session.step.basis],
            "processes": parts.ranks.world_size,
        },
        "embedding": {"way": session.embedding.way.name, "chosen": BASES[session.embedding.basis]},
    }
