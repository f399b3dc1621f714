"""What people read is true: commands are read by the program, keys and files exist, tables say what the code does.

Every command is parsed by the program's own command line and its configuration is loaded. Carried out they are in
`test_carried_out`, those of the story in `test_story`.
"""

import re
from pathlib import Path

import pytest
import typer.main
import yaml

from unplateau.cli.main import app
from unplateau.config import foreign
from unplateau.config.entries import Entry
from unplateau.config.foreign_defaults import CLIP_REID, SOLIDER, STRONG_BASELINE, TRANSREID
from unplateau.config.load import load
from unplateau.config.tree import leaves
from unplateau.diagnosis.advice import PROMISED
from unplateau.diagnosis.causes import BY_CODE
from unplateau.diagnosis.explain import finding_codes
from unplateau.diagnosis.explain import page as page_of
from unplateau.engine.stopping import STOP_CODES
from unplateau.report.solutions_rounds import DROPPED
from unplateau.report.text import protocol_words
from unplateau.solutions.expected import HOPED_FOR, STALLED
from unplateau.workflows.training.ending import HEADLINES
from unplateau.workflows.training.killed import KILLED

from .carrying_out import NOT_CARRIED_OUT
from .reading import GUIDES, OF_COMMANDS, PAGES, ROOT, Command, commands, links, named_files, parsed

OF_THE_USER = ("mine.yml", "my_config.yml")
COMING_FROM = ROOT / "docs" / "guides" / "coming_from.md"


@pytest.mark.parametrize("command", commands(), ids=lambda command: f"{command.page}: {command.text[:60]}")
def test_every_command_is_one_the_program_understands(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    if command.text.startswith(("make ", "make.bat ")):
        target = command.text.split()[1]
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert f":{target}" in (ROOT / "make.bat").read_text(encoding="utf-8")
        return
    if not command.words:
        assert command.text in NOT_CARRIED_OUT, "no command of this program, and nothing says why it is there"
        return
    values = parsed(command)
    overrides = tuple(values.get("overrides") or ())
    assert len(overrides) % 2 == 0
    config_file = values.get("config_file") or values.get("base_config")
    if config_file is not None and str(config_file) not in ("F", *OF_THE_USER):
        assert Path(config_file).is_file(), config_file
        load(Path(config_file), overrides)


def test_commands_are_found_in_every_guide() -> None:
    found = {command.page for command in commands()}
    assert found >= {page.name for page in GUIDES}
    assert len(commands()) > 70


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_file_that_a_guide_names_is_there(page: Path) -> None:
    for name in named_files(page):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_key_of_the_configuration_that_is_named_is_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    theirs = page == COMING_FROM
    groups = {key.partition(".")[0] for key in leaves() if "." in key}
    named = set(re.findall(rf"\b(?:{'|'.join(sorted(groups))})(?:\.[A-Z_0-9]+)+\b", text))
    known = set(leaves()) | {key.rpartition(".")[0] for key in leaves()}
    assert theirs or named <= known, named - known


@pytest.mark.parametrize("name", ["START_HERE.txt", "RESEARCHER_GUIDE.txt"])
def test_the_plain_texts_are_ascii_and_fit_a_window(name: str) -> None:
    text = (ROOT / name).read_bytes().decode("ascii")
    assert max(len(line) for line in text.splitlines() if "python " not in line) <= 130
    assert name != "START_HERE.txt" or len(text.splitlines()) <= 66, "one page"


def test_the_table_of_before_and_after_is_the_one_that_was_asked_for() -> None:
    text = (ROOT / "RESEARCHER_GUIDE.txt").read_text(encoding="utf-8")
    rows = re.findall(r"^ {4}(\d+)(?:-\d+)? +([\d. /]+?) {2,}([\d. /]+?) {2,}([\d. /]+)$", text, re.MULTILINE)
    tables = (STALLED, HOPED_FOR["solution_1_higher_lr"], HOPED_FOR["solution_2_cosine_annealing"])
    for (epoch, *cells), key in zip(rows, (10, 20, 30), strict=True):
        for cell, table in zip(cells, tables, strict=True):
            wanted = table[key]
            assert [float(part) for part in cell.split("/")] == [wanted.cross_entropy, wanted.triplet, wanted.total], epoch
    assert "proves nothing" in text


def test_every_promised_reason_is_explained_with_what_to_do() -> None:
    text = " ".join((ROOT / "RESEARCHER_GUIDE.txt").read_text(encoding="utf-8").split())
    for words in (
        "No improvement for 10 epochs", "Use this model for deployment", "User interrupted (Ctrl+C)", "the checkpoint is safe",
        "Out of memory", "retry with a smaller batch", "Error: <the specific error>", "See log.txt, fix, retry",
        "Training completed all epochs", "It may gain from more epochs",
    ):  # fmt: skip
        assert words in text, words
    assert "identities held out" in protocol_words("held-out")


def test_every_reason_that_a_training_can_write_is_explained() -> None:
    guide = " ".join((ROOT / "RESEARCHER_GUIDE.txt").read_text(encoding="utf-8").split())
    part = guide.partition("2. WHY A RUN STOPPED")[2].partition("3. BEFORE AND AFTER")[0]
    assert {*HEADLINES, *STOP_CODES} <= set(PROMISED), "a reason without a word on what to do"
    written = [HEADLINES.get(code, "Error: <the specific error>") for code in PROMISED]
    for headline in (*written, KILLED, f"{DROPPED} N"):
        words = headline.format(patience=10, last_epoch="N").removesuffix(" (SOLVER.STOP_EPOCH)")
        assert f'"{words.partition(" (killed")[0]}"' in part, words


def _table(heading: str) -> list[list[str]]:
    part = (
        COMING_FROM.read_text(encoding="utf-8")
        .partition(heading)[2]
        .partition("\n\nK" if heading.startswith("##") else "\n\n`")[0]
    )
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| `")
    ]
    assert rows
    return rows


def _same(ours: object, written: str) -> bool:
    value = yaml.safe_load(written)
    return (list(ours) if isinstance(ours, tuple) else ours) == value


@pytest.mark.parametrize("row", _table("## reid-strong-baseline, TransReID"), ids=lambda row: row[0])
@pytest.mark.parametrize("code_base", [STRONG_BASELINE, CLIP_REID])
def test_a_shared_key_becomes_what_the_table_says(row: list[str], code_base: str) -> None:
    _check(row, code_base)


@pytest.mark.parametrize("row", _table("Keys that only the transformer code bases have:"), ids=lambda row: row[0])
@pytest.mark.parametrize("code_base", [TRANSREID, SOLIDER])
def test_a_key_of_the_transformers_becomes_what_the_table_says(row: list[str], code_base: str) -> None:
    _check(row, code_base)


def _check(row: list[str], code_base: str) -> None:
    theirs, value, ours, wanted = row
    translated = foreign.translate(
        {theirs: Entry(yaml.safe_load(value), "line 1")}, {}, code_base=code_base, images_per_epoch=None
    )
    assert _same(translated.entries[ours].raw, wanted), translated.entries[ours]


def test_torchreids_table_names_keys_and_values_of_ours() -> None:
    words = [word for _, _, ours, wanted in _table("## torchreid") for word in (ours, wanted)]
    assert load(None, words).config.MODEL.BACKBONE.DEPTH == "x1_0"


@pytest.mark.parametrize("code", [*finding_codes(), *BY_CODE])
def test_a_finding_names_only_commands_that_there_are(code: str) -> None:
    for words in re.findall(r"(?:python )?\w+\.py(?: --?[\w-]+(?: [A-Z]\b)*)+|`unplateau [^`]+`", page_of(code)):
        parsed(Command(code, words.strip("`")))


def test_every_option_that_a_page_names_is_one() -> None:
    group = typer.main.get_command(app)
    verbs = [verb for one in group.commands.values() for verb in (one, *getattr(one, "commands", {}).values())]  # type: ignore[attr-defined]
    known = {name for verb in verbs for parameter in verb.params for name in parameter.opts}
    foreign = {"--force-reinstall", "--head", "--address"}
    for page in OF_COMMANDS:
        if page.name == "plateaubench.md":  # its options are those of a benchmark
            continue
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text(encoding="utf-8")))
        assert named <= known | foreign, f"{page.name}: {named - known - foreign}"
