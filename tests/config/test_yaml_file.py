"""Files that are broken, hostile, or merely unusual."""

import codecs

import pytest

from unplateau.base.errors import ConfigError
from unplateau.config.load import load
from unplateau.config.yaml_file import plain_tree


def test_byte_order_marks_are_understood(tmp_path):
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le")):
        path = tmp_path / "päth 1.yml"
        path.write_bytes(mark + "OUTPUT_DIR: läufe/实验\n".encode(encoding))
        assert load(path).config.OUTPUT_DIR == "läufe/实验"


def test_windows_line_ends_keep_line_numbers(write, problems_of):
    (problem,) = problems_of("SEED: 1\r\n\r\nSOLVER:\r\n  GAMMA: x\r\n")
    assert problem.startswith("run.yml line 4: SOLVER.GAMMA is x")


def test_text_that_is_no_utf8_names_the_line(tmp_path):
    path = tmp_path / "latin.yml"
    path.write_bytes("SEED: 1\nOUTPUT_DIR: läufe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="latin.yml line 2: not UTF-8 text. Save the file as UTF-8."):
        load(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SOLVER:\n\tGAMMA: 1\n", "line 2: not valid YAML"),
        ("SOLVER: {GAMMA: 1\n", "not valid YAML"),
        ("- a\n- b\n", "line 1: the file holds no keys"),
        ("just words", "the file holds no keys"),
        ("SEED: 1\n---\nSEED: 2\n", "not valid YAML"),
        ("SEED: 1\nSEED: 2\n", "line 2: SEED is given twice, first at"),
        ("SEED: !!python/object/apply:os.system ['true']\n", "the tag !!python/object/apply:os.system is not allowed"),
        ("MODEL: !evil {DEVICE: cpu}\n", "the tag !evil is not allowed"),
        ("? [a, b]\n: 1\n", "a key has to be a name"),
        ("SOLVER: {STEPS: [{a: 1}]}\n", "a list holds a group of keys"),
        ("SEED: " + "[" * 30 + "]" * 30, "nested more than 20 levels"),
        ("SEED: " + "[" * 100_000, "nest"),  # PyYAML 6.0.4 refuses it before we do, in its own words: "maximum nesting depth"
        ("a: *missing\n", "not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
    ],
)
def test_what_cannot_be_used_is_said(problems_of, text, words):
    assert any(words in problem for problem in problems_of(text))


def test_an_alias_bomb_is_refused_quickly(problems_of):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert "grow beyond bounds" in problems_of(bomb)[0]


def test_an_alias_that_holds_itself_is_refused(problems_of):
    assert "grow beyond bounds" in problems_of("a: &a [*a]\n")[0]
    assert "grow beyond bounds" in problems_of("a: &a {b: *a}\n")[0]


def test_modest_aliases_and_merges_work(load_text):
    config = load_text("""
MODEL:
  LOSSES:
    CE: &weights {SCALE: 0.5}
    TRI: {<<: *weights, MARGIN: 0.2}
INPUT: {SIZE_TRAIN: &size [128, 64], SIZE_TEST: *size}
""").config
    assert (config.MODEL.LOSSES.TRI.SCALE, config.MODEL.LOSSES.TRI.MARGIN) == (0.5, 0.2)
    assert config.INPUT.SIZE_TEST == (128, 64)


def test_the_tuples_of_an_old_dump_are_lists(load_text):
    assert load_text("DATASETS:\n  NAMES: !!python/tuple\n  - Market1501\n").config.DATASETS.NAMES == ("Market1501",)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "big.yml"
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="expected a configuration below 1 MiB"):
        load(path)
    with pytest.raises(ConfigError, match="a folder, expected a file"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yml")


def test_a_tree_of_another_trainer_is_read_with_the_same_bounds():
    bomb = "a: &a {x: 1}\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} {{p: *{chr(97 + n)}, q: *{chr(97 + n)}}}\n" for n in range(20)
    )
    assert plain_tree("MODEL: {DEPTH: 50x}\nSEED: 3\n") == {"MODEL": {"DEPTH": "50x"}, "SEED": 3}
    for text in (bomb, "[" * 5000, "a: !!python/object/apply:os.system [id]", "a: 2020-99-99", "- 1", "{", "? [1]\n: 2", ""):
        assert plain_tree(text) == {}


def test_a_list_as_a_key_within_what_is_merged_is_named_and_no_crash(load_text):
    with pytest.raises(ConfigError, match="a key has to be a name"):
        load_text("SOLVER:\n  <<: {? [a, b] : 1, BASE_LR: 0.1}\n  MAX_EPOCH: 5\n")
