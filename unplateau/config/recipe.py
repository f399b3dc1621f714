"""Which keys make a recipe: runs that differ in the seed only, and in keys that change no result, are seeds of one recipe."""

from unplateau.config.delta import flatten, identity
from unplateau.config.schema import Config

# Keys that may change when a run goes on, because they do not change what the epochs already trained would have been.
CONTINUING_KEYS = (
    "SOLVER.MAX_EPOCH",
    "SOLVER.STOP_EPOCH",
    "SOLVER.ON_PLATEAU",
    "SOLVER.EARLY_STOP_PATIENCE",
    "SOLVER.TARGET_MAP",
)
HARMLESS_KEYS = (
    "OUTPUT_DIR",
    "MODEL.DEVICE",
    "DATASETS.ROOT",
    "DATALOADER.NUM_WORKERS",
    "DATALOADER.CACHE",
    "DATALOADER.CACHE_DIR",
    "DATALOADER.CACHE_LIMIT_GB",
    "SOLVER.TIME_BUDGET_HOURS",
    "SOLVER.CHECKPOINT_PERIOD",
    "SOLVER.MEMORY_PLAN",  # like the device: what it came to is recorded with the run
    "SOLVER.MEASURE_STEP",
    "TEST.MEASURE_EMBEDDING",
    "VALIDATION.SCORE_TEST",
    "LOGGING.TENSORBOARD",
    "LOGGING.WANDB",
)
SEED_KEY = "SEED"
ALIKE = ("SOLVER.MEASURE_STEP", "False", "TEST.MEASURE_EMBEDDING", "False")
"""Override for runs that are compared: by rule all of them compute alike, where a measurement might choose otherwise for one."""


def recipe_values(config: Config) -> dict[str, object]:
    """Return the values that make the recipe, by key."""
    return {key: value for key, value in flatten(config).items() if key != SEED_KEY and key not in HARMLESS_KEYS}


def recipe_of(config: Config) -> str:
    """Return the recipe's short name: equal recipes have equal names, whatever their seed, folder or machine."""
    return identity(recipe_values(config))
