"""unplateau: trains person re-identification models, says why a run has stalled, and tries the fixes."""

__version__ = "0.1.0"
