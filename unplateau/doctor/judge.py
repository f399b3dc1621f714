"""What the facts of a machine mean for training on it: a line each, with its fix. Pure functions of `facts`."""

from unplateau.doctor.facts import Check, Machine, Wanted
from unplateau.doctor.judge_forecast import judge_forecast
from unplateau.doctor.judge_gpu import judge_gpu, judge_precision
from unplateau.doctor.judge_packages import judge_optional, judge_others, judge_python, judge_torch, judge_torchvision
from unplateau.doctor.judge_room import judge_cpu, judge_data, judge_memory, judge_places, judge_weights, judge_workers

DEFAULT = Wanted(device="auto", amp="auto", num_workers=-1, is_cached=True)


def judge(machine: Machine, wanted: Wanted = DEFAULT) -> tuple[Check, ...]:
    """Return one line for everything that training depends on.

    Args:
        machine: the facts.
        wanted: what a configuration asks for.
    """
    return (
        *judge_gpu(machine, wanted),
        judge_torch(machine),
        judge_torchvision(machine),
        *judge_others(machine),
        judge_python(machine),
        *judge_precision(machine, wanted),
        judge_cpu(machine),
        judge_memory(machine),
        judge_workers(machine, wanted),
        *judge_places(machine),
        *judge_data(machine),
        *judge_weights(machine),
        *judge_forecast(machine),
        judge_optional(machine),
    )


def has_problem(checks: tuple[Check, ...]) -> bool:
    """Return whether anything would stop or spoil a training."""
    return any(check.level == "problem" for check in checks)
