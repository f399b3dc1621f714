"""Every error a user can meet. Each says what happened and where, what was expected, and how to fix it.

    UnplateauError              exit code 1
    ├── UsageError              exit code 2: a command line that cannot be carried out
    │   ├── ConfigError         one or more problems in a configuration, all reported at once
    │   ├── DataNotFoundError   a data set, weight file or run that is not where it was looked for
    │   └── RunExistsError      a run name that is taken
    ├── DataError               data that was found and cannot be used
    ├── WeightsError            a weight file that does not fit, or that could run code
    ├── CheckpointError         a checkpoint that is damaged or belongs to another run
    ├── RecordError             a run folder or log that cannot be read
    └── PreflightError          the training would not have learned

The command line prints the message without a traceback and leaves with `exit_code`.
"""


class UnplateauError(Exception):
    """Base of all errors meant for a user's eyes."""

    exit_code = 1


class UsageError(UnplateauError):
    """What was asked for cannot be carried out as asked."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration with problems; `problems` lists them all, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DataNotFoundError(UsageError):
    """A data set, file or run that is not where it was looked for."""


class RunExistsError(UsageError):
    """A run name that is taken; the message lists the choices."""


class DataError(UnplateauError):
    """Data that was found and cannot be used."""


class WeightsError(UnplateauError):
    """A weight file that does not fit the model, or that is not plain tensors."""


class CheckpointError(UnplateauError):
    """A checkpoint that is damaged, or that belongs to another run."""


class RecordError(UnplateauError):
    """A run folder or log that cannot be read."""


class PreflightError(UnplateauError):
    """The training would not have learned; the message names the finding."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of an error's text, without its full stop: CUDA's go on for a page in one line.

    >>> first_sentence(RuntimeError("CUDA out of memory. Tried to allocate 32.00 MiB. GPU 0 has 4 GiB.\\nCompile with"))
    'CUDA out of memory'
    """
    return _sentences(error, 1)


def out_of_memory_words(error: BaseException) -> str:
    """Return the first two sentences of such an error: that there was no room, and for how much.

    >>> out_of_memory_words(RuntimeError("CUDA out of memory. Tried to allocate 32.00 MiB. GPU 0 has 4 GiB. More"))
    'CUDA out of memory. Tried to allocate 32.00 MiB'
    """
    return _sentences(error, 2)


def _sentences(error: BaseException, count: int) -> str:
    return ". ".join(first_line(error).split(". ")[:count]).rstrip(".")
