"""`unplateau solve`, and `solve_plateau.py`: why is this training stalled, and what to try."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command, under both its names."""
    app.command("solve")(solve)
    app.command("diagnose", help="The same as solve.", hidden=True)(solve)


def solve(
    run: Annotated[Path | None, typer.Option("--run", help="Folder of a run of this trainer.")] = None,
    bursts: Annotated[
        bool, typer.Option("--bursts", help="With --run: train each solution briefly from the last checkpoint and order by that.")
    ] = False,
    burst_steps: Annotated[int, typer.Option("--burst-steps", min=8, help="Steps of each burst.")] = 80,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="With --run: measure the run where its last checkpoint stands, cheapest first, for at most 5 % of it."
        ),
    ] = False,
    probe_all: Annotated[bool, typer.Option("--probe-all", help="The same without a limit on the cost.")] = False,
    log_file: Annotated[Path | None, typer.Option("--log-file", help="Log of any trainer, or its folder.")] = None,
    checkpoints: Annotated[
        tuple[Path, Path] | None, typer.Option("--checkpoints", help="Two checkpoints of one run, of any PyTorch trainer.")
    ] = None,
    symptom: Annotated[
        list[str] | None, typer.Option("--symptom", help="A warning or error you saw, in any words; may be repeated.")
    ] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="For CSV and JSON lines: theirs=ours, such as xe=cross_entropy.")
    ] = "",
    num_identities: Annotated[int | None, typer.Option("--num-identities", min=1, help="People in the training set.")] = None,
    feature_dim: Annotated[int | None, typer.Option("--feature-dim", min=1, help="Input dimension of the classifier.")] = None,
    initial_std: Annotated[
        float | None, typer.Option("--initial-std", min=0, help="Standard deviation of the classifier's initial weights.")
    ] = None,
    margin: Annotated[float | None, typer.Option("--margin", min=0, help="Triplet margin; 0 = soft margin.")] = None,
    label_smoothing: Annotated[float | None, typer.Option("--label-smoothing", min=0, max=1, help="Label smoothing.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Images a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", min=0, help="Peak learning rate.")] = None,
    max_epochs: Annotated[int | None, typer.Option("--max-epochs", min=1, help="Epochs planned.")] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", help="Where solutions go; default custom_configs/plateau_solutions.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write findings and solutions as JSON too.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace solution files that differ.")] = False,
) -> None:
    """Say why a training is stalled, with evidence, and write the solutions."""
    from unplateau.runs.foreign_logs.training_log import LogFacts
    from unplateau.workflows.diagnosing.diagnose import Sources
    from unplateau.workflows.solving.solve import SolveRequest
    from unplateau.workflows.solving.solve import solve as run_solve

    facts = LogFacts(
        num_identities=num_identities, feature_dim=feature_dim, initial_std=initial_std, margin=margin, batch_size=batch_size,
        label_smoothing=label_smoothing, base_learning_rate=learning_rate, max_epochs=max_epochs,
    )  # fmt: skip
    sources = Sources(log_file, tuple(checkpoints or ()), tuple(symptom or ()), facts, _columns(columns))
    request = SolveRequest(
        sources, run=run, output_dir=output_dir, json=json_file, force=force, probe=probe, probe_all=probe_all,
        burst_steps=burst_steps if bursts else 0,
    )  # fmt: skip
    run_solve(request)


def _columns(text: str) -> dict[str, str]:
    """Return theirs -> ours from "theirs=ours,...".

    Raises:
        UsageError: a part without "=".
    """
    from unplateau.base.errors import UsageError

    pairs = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise UsageError(f"--columns {wrong[0]!r} has no =. Write theirs=ours, such as --columns xe=cross_entropy,tri=triplet.")
    return {theirs.strip(): ours.strip() for theirs, _, ours in (pair.partition("=") for pair in pairs)}
