from hypothesis import given
from hypothesis import strategies as st

from unplateau.probes.layer_groups import by_layer

RESNET = [
    f"backbone.layer{k}.{b}.conv{c}.weight" for k, n in ((1, 3), (2, 4), (3, 6), (4, 3)) for b in range(n) for c in (1, 2, 3)
]
NAMES = ["backbone.conv1.weight", *RESNET, "head.neck.weight", "head.classifier.weight"]


def test_every_name_is_in_exactly_one_group():
    assert sorted(name for names in by_layer(NAMES).values() for name in names) == sorted(NAMES)


def test_groups_are_as_fine_as_the_limit_allows():
    assert "backbone.layer4.2" in by_layer(NAMES) and len(by_layer(NAMES)) == 19
    stages = [f"backbone.layer{stage}" for stage in (1, 2, 3, 4)]
    assert list(by_layer(NAMES, most=8)) == ["backbone.conv1", *stages, "head.neck", "head.classifier"]


def test_wrappers_do_not_change_the_groups():
    assert list(by_layer([f"module.{name}" for name in NAMES])) == list(by_layer(NAMES))


@given(st.lists(st.from_regex(r"[ab]{1,2}(\.[ab01]){0,4}", fullmatch=True), unique=True), st.integers(2, 10))
def test_the_limit_holds_wherever_the_top_level_allows_it(names, most):
    groups = by_layer(names, most=most)
    top = {name.split(".")[0] if "." in name else "(root)" for name in names}
    assert len(groups) <= max(most, len(top)) and sum(map(len, groups.values())) == len(names)
