"""What a training would take, as `facts.Forecast` has it: does a step fit, and how long does an epoch take."""

from unplateau.doctor.facts import Check, Forecast, Machine, PlanNeed

_GIGABYTE = 1e9
_FIX = (
    "Take a smaller SOLVER.IMS_PER_BATCH, smaller images (INPUT.SIZE_TRAIN) or a smaller network; see docs/guides/small_cards.md."
)


def judge_forecast(machine: Machine) -> tuple[Check, ...]:
    """Return what there is to say of memory and time of the configured training."""
    forecast = machine.forecast
    if forecast is None:
        return ()
    if forecast.problem:
        return (Check("warning", "forecast", f"could not be made: {forecast.problem}"),)
    return (_judge_need(forecast), *_judge_time(forecast))


def _judge_need(forecast: Forecast) -> Check:
    subject, needs = "step memory", f"{forecast.what}: about {_total(forecast, forecast.plans[0])} at once"
    if not forecast.has_bytes:
        return Check("ok", subject, f"{needs}; the system does not say how much there is.")
    there = f"{forecast.whose}: {_gigabytes(forecast.has_bytes)}"
    fitting = next((plan for plan in forecast.plans if fits(forecast, plan)), None)
    if fitting is None:
        least = forecast.plans[-1]
        text = f"{needs}, {_total(forecast, least)} with {least.words} ({there}): it does not fit."
        return Check("problem", subject, text, _FIX)
    if fitting is forecast.plans[0]:
        return Check("ok", subject, f"{needs} ({there}){_others(forecast)}")
    return Check(
        "warning",
        subject,
        f"{needs}, which does not fit ({there}). It would train with {fitting.words}: {_total(forecast, fitting)}.",
        f"Nothing has to be done: SOLVER.MEMORY_PLAN auto finds that plan in the first step. To have it from the start: "
        f"SOLVER.MEMORY_PLAN {fitting.name}",
    )


def fits(forecast: Forecast, plan: PlanNeed) -> bool:
    """Return whether a step fits under a plan."""
    return plan.peak_bytes + forecast.outside_bytes <= forecast.has_bytes


def _others(forecast: Forecast) -> str:
    others = [f"SOLVER.MEMORY_PLAN {plan.name} {_total(forecast, plan)}" for plan in forecast.plans[1:]]
    return f"; with {', '.join(others)}" if others else ""


def _total(forecast: Forecast, plan: PlanNeed) -> str:
    return _gigabytes(plan.peak_bytes + forecast.outside_bytes)


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / _GIGABYTE:.1f} GB"


def _judge_time(forecast: Forecast) -> tuple[Check, ...]:
    if not forecast.seconds_a_step:
        return (Check("warning", "epoch time", f"not measured: {forecast.note}"),) if forecast.note else ()
    epoch = forecast.seconds_a_step * forecast.steps_an_epoch + forecast.validation_seconds
    validation = f", validation {duration(forecast.validation_seconds)}" if forecast.validation_seconds else ""
    text = (
        f"about {duration(epoch)} ({forecast.steps_an_epoch} steps of {forecast.seconds_a_step:.3g} s{validation}), measured on "
        f"{forecast.device}; all {forecast.num_epochs} epochs {duration(epoch * forecast.num_epochs)}"
    )
    return (Check("ok", "epoch time", f"{text}. {forecast.note}".rstrip(" .")),)


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(3.24), duration(200), duration(9000)
    ('3.2 s', '3 min 20 s', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 9.5 else f"{seconds:.0f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{seconds / 3600:.1f} h"
