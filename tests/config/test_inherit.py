"""`_BASE_`."""

from unplateau.config.load import load


def test_bases_are_relative_to_the_file_that_names_them(write):
    write("SEED: 1\nSOLVER: {GAMMA: 0.5, STEPS: [1, 2, 3]}", "base/grand.yml")
    write("_BASE_: grand.yml\nSOLVER: {STEPS: [7]}", "base/parent.yml")
    config = load(write("_BASE_: ../base/parent.yml\nSEED: 2", "runs/child.yml")).config
    assert (config.SEED, config.SOLVER.GAMMA, config.SOLVER.STEPS) == (2, 0.5, (7,))


def test_of_several_bases_the_later_wins(write):
    write("SEED: 1\nSOLVER: {GAMMA: 0.5}", "a.yml")
    write("SEED: 2", "b.yml")
    config = load(write("_BASE_: [a.yml, b.yml]")).config
    assert (config.SEED, config.SOLVER.GAMMA) == (2, 0.5)


def test_windows_separators_work_everywhere(write):
    write("SEED: 5", "base.yml")
    assert load(write("_BASE_: '..\\base.yml'", "sub/run.yml")).config.SEED == 5


def test_a_problem_in_a_base_names_the_base(write, problems_of):
    write("SEED: 1\nSOLVER: {GAMA: 1}", "base.yml")
    assert problems_of("_BASE_: base.yml") == [
        "base.yml line 2: SOLVER.GAMA is 1, expected a known key. Did you mean SOLVER.GAMMA?"
    ]


def test_a_value_that_is_replaced_is_not_judged(write):
    write("SOLVER: {IMS_PER_BATCH: 0}", "base.yml")
    assert load(write("_BASE_: base.yml\nSOLVER: {IMS_PER_BATCH: 32}")).config.SOLVER.IMS_PER_BATCH == 32


def test_a_circle_is_shown(write, problems_of):
    write("_BASE_: run.yml", "b.yml")
    (problem,) = problems_of("_BASE_: b.yml")
    assert problem.startswith("b.yml line 1: _BASE_ goes in a circle: run.yml -> b.yml -> ")


def test_depth_and_number_of_files_are_bounded(write, problems_of):
    for level in range(20):
        write(f"_BASE_: {level + 1}.yml", f"{level}.yml")
    assert "more than 10 levels" in problems_of("_BASE_: 0.yml")[0]
    for level in range(8):
        write("_BASE_: [" + ", ".join([f"w{level + 1}.yml"] * 9) + "]", f"w{level}.yml")
    write("SEED: 1", "w8.yml")
    assert any("50 files" in problem for problem in problems_of("_BASE_: w0.yml"))


def test_strange_bases_are_refused(problems_of):
    assert "expected a file or a list of files" in problems_of("_BASE_: [[a]]")[0]
    assert "which is not there" in problems_of("_BASE_: '~nobody-of-that-name/a.yml'")[0]
    assert "which is not there" in problems_of(f"_BASE_: {'a' * 5000}")[0]
    assert "can only be given in a file" in problems_of("", "_BASE_", "a.yml")[0]
