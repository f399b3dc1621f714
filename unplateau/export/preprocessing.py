"""What has to be done to a picture before the exported model sees it, as the evaluation does it: preprocessing.json."""

from typing import Any

from unplateau.config.schema import Config

SCHEMA_VERSION = 1


def preprocessing(config: Config, *, embedding_dim: int) -> dict[str, Any]:
    """Return the steps from picture file to embedding as plain data.

    Args:
        config: of the run.
        embedding_dim: width of the model's output.
    """
    height, width = config.INPUT.SIZE_TEST
    return {
        "schema": SCHEMA_VERSION,
        "steps": [
            "decode with Pillow and convert to RGB; EXIF orientation is ignored",
            f"unless it has that size: resize to {width} wide, {height} high, Pillow's bicubic filter; aspect ratio not kept",
            "as float32 on the 0-255 scale: (pixel - mean) / std, for each channel",
            "batch x channel (R, G, B) x height x width; any batch size",
        ],
        "height": height,
        "width": width,
        "resampling": "bicubic",
        "channels": "RGB",
        "mean": list(config.MODEL.PIXEL_MEAN),
        "std": list(config.MODEL.PIXEL_STD),
        "scale": "0-255",
        "input": "images",
        "output": "embeddings",
        "embedding_dim": embedding_dim,
        "takes_camera_ids": config.MODEL.BACKBONE.SIE_CAMERA,
        "averages_mirror_image": config.TEST.FLIP.ENABLED,
        "metric": config.TEST.METRIC,
        "notes": _notes(config),
    }


def _notes(config: Config) -> list[str]:
    notes = ["Embeddings are not normalised. Compare them by the metric: cosine, or Euclidean distance."]
    if config.TEST.FLIP.ENABLED:
        notes.append("model.onnx averages a picture's embedding with its mirror image's by itself, as the evaluation did.")
    if config.MODEL.BACKBONE.SIE_CAMERA:
        notes.append("model.onnx takes camera_ids too (int64, one a picture): those of the training cameras, -1 = unknown.")
    return notes
