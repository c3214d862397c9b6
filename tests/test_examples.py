"""Params files that say only in what they differ: what they come to, as values and as text."""

import shutil
import subprocess
from pathlib import Path

import pytest

from recgan.core.comments import read_with_comments, written
from recgan.core.differences import merged, section_below
from recgan.core.errors import RecganError
from recgan.core.yaml12 import parse_yaml, read_yaml
from recgan.settings import Params, load_params, load_with_base, read_with_base
from recgan.use import use, whole
from tests.conftest import EXAMPLES, ROOT, SHOP, example

DIFFERENCES = [path for path in EXAMPLES if path != SHOP]


def repeated(base, difference, section, inside=""):
    """Yield the names of values that a difference has from its base anyway."""
    for name, value in difference.items():
        below = section_below(section, name, base.get(name), value)
        if below is not None:
            yield from repeated(base[name], value, below, f"{inside}{name}.")
        elif name in base and base[name] == value:
            yield f"{inside}{name}"


# --- the examples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DIFFERENCES, ids=lambda path: path.stem)
def test_an_example_says_only_in_what_it_differs(path):
    difference = read_yaml(path)
    base = read_with_base(path.parent / difference.pop("base"))
    assert list(repeated(base, difference, Params)) == []


def test_a_repeated_value_is_found():
    base, same = example("shop"), {"features": {"binary": True, "split": {"kind": "time", "test_days": 15}}}
    assert list(repeated(base, same, Params)) == ["features.binary", "features.split.kind"]


def test_params_yaml_is_the_shop_at_first():
    """As committed: to edit params.yaml, or to put other data in place, makes no test fail."""

    def committed(name):
        done = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else pytest.skip("not a checkout of git's")

    ours = committed("params.yaml")
    if parse_yaml(ours, Path("params.yaml"))["ingest"]["source"] != "shop":
        pytest.skip("the project's params.yaml is for other data than the shop")
    assert ours == committed("examples/shop.yaml")


# --- values ---------------------------------------------------------------------------------------------


def rcgan(**changes):
    return {"candidates": {"rcgan": changes}}


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ({"evaluate": {"seed": 1}}, {"evaluate.seed": 1, "evaluate.k": [5, 10, 20]}),
        ({"evaluate": {"k": [3]}}, {"evaluate.k": [3]}),
        ({"validate": {"price": None}}, {"validate.price": None}),
        ({"validate": {"price": {"low": 1}}}, {"validate.price": {"low": 1, "high": 100000}}),
        ({"features": {"weights": {"view": 3}}}, {"features.weights": {"view": 3}}),
        ({"validate": {"values": {}}}, {"validate.values": {}}),
        (
            rcgan(critic={"dropout": 0}),
            {"candidates.rcgan.critic.dropout": 0, "candidates.rcgan.critic.hidden": [400]},
        ),
        (
            rcgan(recommender="rcgan", epochs=1),
            {"candidates.rcgan.epochs": 1, "candidates.rcgan.patience": 4},
        ),
        (
            rcgan(recommender="cfgan", epochs=1),
            {"candidates.rcgan": {"recommender": "cfgan", "epochs": 1}},
        ),
        (
            {"candidates": {"two_stage": {"generator": {"factors": [8]}}}},
            {
                "candidates.two_stage.generator.recommender": "ials",
                "candidates.two_stage.generator.factors": [8],
                "candidates.two_stage.generator.iterations": [15],
            },
        ),
        (
            {"candidates": {"two_stage": {"generator": {"recommender": "ease", "l2": [1]}}}},
            {"candidates.two_stage.generator": {"recommender": "ease", "l2": [1]}},
        ),
        ({"features": {"split": {"test_days": 1}}}, {"features.split.validation_days": 14}),
        ({"features": {"split": {"kind": "random"}}}, {"features.split": {"kind": "random"}}),
        ({"candidates": {"mine": {"recommender": "ease"}}}, {"candidates.mine": {"recommender": "ease"}}),
        ({"candidates": {"ease": {"l2": [1]}}}, {"candidates.ease.recommender": "ease"}),
        ({"evaluate": 3, "mine": 4}, {"evaluate": 3, "mine": 4}),
    ],
)
def test_sections_are_merged_and_other_values_replaced(difference, expected):
    """Of the shop, with other places left as they are."""
    base = example("shop")
    content = merged(base, difference, Params)
    for name, value in expected.items():
        place = content
        for part in name.split("."):
            place = place[part]
        assert place == value
    assert base == example("shop")
    assert {name: content[name] for name in base if name not in difference} == {
        name: base[name] for name in base if name not in difference
    }


def test_null_takes_a_candidate_out_and_what_was_taken_out_comes_back_whole():
    without = merged(example("shop"), {"candidates": {"ease": None, "none": None}}, Params)
    assert [*without["candidates"]] == ["popularity", "itemknn", "rp3beta", "ials", "rcgan", "two_stage"]
    again = merged(without, {"candidates": {"ease": {"l2": [1]}}}, Params)
    assert again["candidates"]["ease"] == {"l2": [1]}


def test_a_base_may_have_a_base_in_another_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    shutil.copy(SHOP, tmp_path / "inner/shop.yaml")
    (tmp_path / "inner/one.yaml").write_text(
        "base: shop.yaml\ncandidates: {rcgan: {epochs: 1, patience: 1}}\n"
    )
    (tmp_path / "two.yaml").write_text("base: inner/one.yaml\ncandidates: {rcgan: {epochs: 2}}\n")
    train = load_with_base(tmp_path / "two.yaml").candidates["rcgan"]
    assert (train.epochs, train.patience, train.evaluate_every) == (2, 1, 5)


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"mine": "base: mine.yaml\n"}, ["go round in a circle", "mine.yaml", "take one `base:` out"]),
        ({"mine": "base: a.yaml\n", "a": "base: ./b.yaml\n", "b": "base: a.yaml\n"}, ["in a circle"]),
        ({"mine": "base: none.yaml\n"}, ["mine.yaml has the base none.yaml", "there is no file", "relative"]),
        ({"mine": "base: .\n"}, ["there is no file"]),
        ({"mine": "base: null\n"}, ["has the base None", "name a params file"]),
        ({"mine": "base: a.yaml\n", "a": "a: [1,\n"}, ["a.yaml, line", "not readable"]),
        (
            {"mine": "base: shop.yaml\ncandidates: {rcgan: {epoch: 3, dropout: 2}}\nrecommend: {k: -1}\n"},
            [
                "mine.yaml has 3 fault(s)",
                "did you mean `epochs`?",
                "candidates.rcgan.dropout",
                "recommend.k",
                "-1",
            ],
        ),
        (
            {"mine": "base: shop.yaml\ncandidates: {rcgan: {recommender: irgan}}\n"},
            ["mine.yaml has", "candidates.rcgan.temperature: missing"],
        ),
    ],
)
def test_a_base_that_does_not_do_is_one_clear_error(tmp_path, files, words):
    shutil.copy(SHOP, tmp_path)
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    said = []
    for reader in (load_with_base, lambda path: use(str(path), root=tmp_path)):
        with pytest.raises(RecganError) as caught:
            reader(tmp_path / "mine.yaml")
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert all(word in said[0] for word in words), said[0]
    assert not (tmp_path / "params.yaml").exists()


def test_dvc_reads_params_yaml_itself_so_it_has_no_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", "examples")
    difference = "base: examples/shop.yaml\ncandidates: {rcgan: {epochs: 3}}\n"
    Path("params.yaml").write_text(difference)
    with pytest.raises(
        RecganError, match=r"base is examples/shop\.yaml, which DVC would not follow"
    ) as caught:
        load_params()
    assert "`recgan use params.yaml`" in str(caught.value)
    replaced = use("params.yaml")
    assert load_params().candidates["rcgan"].epochs == 3
    assert (
        Path("params.yaml").read_text()
        == SHOP.read_text().replace("epochs: 100", "epochs: 3").split("\n\n", 1)[1]
    )
    assert replaced.differing == ()
    assert replaced.before.read_text() == difference


# --- text -----------------------------------------------------------------------------------------------


def test_the_head_is_the_examples_and_one_blank_line_parts_sections(tmp_path):
    shutil.copy(SHOP, tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "# Mine.\n\n# Of two parts.\nbase: shop.yaml\nevaluate:\n\n    # tossed\n    seed: 5 # five\n"
        "\n\n\n# few\nrecommend: {k: 3}\n# end\n"
    )
    text = whole(tmp_path / "mine.yaml")[0].decode()
    expected = SHOP.read_text().split("\n\n")
    expected[0] = "# Mine.\n\n# Of two parts."
    place = {section.partition(":")[0]: number for number, section in enumerate(expected)}
    evaluate = expected[place["evaluate"]]
    expected[place["evaluate"]] = evaluate.replace("  seed: 0\n", "\n  # tossed\n  seed: 5 # five\n")
    recommend = expected[place["recommend"]]
    expected[place["recommend"]] = "# few\n" + recommend.replace("  k: 20\n", "  k: 3\n")
    expected[-1] = expected[-1].rstrip("\n") + "\n\n# end\n"
    assert text == "\n\n".join(expected)


SMALL = SHOP.read_text().split("\n\n", 1)[1]
IALS = SMALL[SMALL.index("  ials:\n") : SMALL.index("  rcgan:\n")]


@pytest.mark.parametrize(
    ("difference", "old", "new"),
    [
        ("recommend:\n  k: 3   # few\n", "  k: 20\n", "  k: 3   # few\n"),
        ("recommend:   # daily\n  k: 3\n", "recommend:\n  k: 20\n", "recommend:   # daily\n  k: 3\n"),
        ("recommend: {k: 3}   # few\n", "  k: 20\n", "  k: 3\n"),
        (
            "candidates:\n    rcgan:\n        critic:\n            dropout: 0\n",
            "      dropout: 0.5\n",
            "      dropout: 0\n",
        ),
        ("candidates: {rcgan: {critic: {dropout: 1e-4}}}\n", "      dropout: 0.5\n", "      dropout: 1e-4\n"),
        ("candidates:\n  rcgan:\n    alarms: {grace: 9}\n", "{grace: 5, ", "{grace: 9, "),
        (
            "candidates:\n  rcgan:\n    alarms: {effective_rank: 9} # late\n",
            "effective_rank: 10}",
            "effective_rank: 9} # late",
        ),
        (
            "candidates:\n  rcgan:\n    alarms:\n      grace: 9   # late\n",
            "    alarms: {grace: 5, gradient_growth: 5, effective_items: 30, effective_rank: 10}\n",
            "    alarms:\n      grace: 9   # late\n      gradient_growth: 5\n      effective_items: 30\n"
            "      effective_rank: 10\n",
        ),
        ("candidates: {ials: null}\n", IALS, ""),
        ("candidates:\n  # not here\n  ials: null\n", IALS, ""),
        (
            "candidates:\n"
            "  ials:\n    # one\n    recommender: popularity\n    half_life_days: [3]   # days\n",
            IALS,
            "  ials:\n    # one\n    recommender: popularity\n    half_life_days: [3]   # days\n",
        ),
        (
            "features:\n  # stars\n  min_rating: 3\n",
            "  min_rating: 4                 # four or five stars are a liking; three and less are not\n",
            "  # stars\n  min_rating: 3\n",
        ),
        (
            "features:\n  split:\n    test_days: 7\n    # validation_days: 9\n  # all\n",
            "    test_days: 14\n",
            "    test_days: 7\n    # validation_days: 9\n  # all\n",
        ),
        ("evaluate:\r\n  k:\r\n  - 5\r\n  - 10\r\n", "  k: [5, 10, 20]\n", "  k:\n  - 5\n  - 10\n"),
        ("\ufeffregister: {name: 'NO'}\n", "  name: recgan\n", "  name: 'NO'\n"),
    ],
)
def test_a_difference_changes_its_own_lines_and_no_others(tmp_path, difference, old, new):
    shutil.copy(SHOP, tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_bytes(f"{difference}base: shop.yaml\n".encode())
    text, content = whole(path)
    assert content == read_with_base(path)
    assert SMALL.count(old) == 1
    assert text.decode() == SMALL.replace(old, new)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_put_in_place_is_the_whole_and_is_written_again_byte_for_byte(path, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    use(path.stem, root=tmp_path)
    put = tmp_path / "params.yaml"
    assert load_params(put) == load_with_base(path)
    assert written(read_with_comments(put.read_bytes(), put), read_yaml(put), put) == put.read_bytes()
    comments = [line.split("# ", 1)[1] for line in path.read_text().splitlines() if "# " in line]
    assert all(comment in put.read_text() for comment in comments)


def test_an_example_that_params_yaml_held_is_there_already(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for before, now in (("ml-1m", "shop"), ("cfgan-ml100k-tuned", "online-retail")):
        use(before, root=tmp_path)
        assert use(now, root=tmp_path).before == tmp_path / f"examples/{before}.yaml"
    assert list(tmp_path.glob("params.yaml.bak*")) == []


def test_a_folder_stands_in_the_whole(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    use("ml-1m", tmp_path, root=tmp_path)
    params = load_params(tmp_path / "params.yaml")
    assert params.ingest.path == tmp_path
    assert params.candidates == load_with_base(ROOT / "examples/ml-1m.yaml").candidates


def test_anchors_do_not_reach_from_one_file_into_another(tmp_path):
    (tmp_path / "shop.yaml").write_text(
        SHOP.read_text().replace("seed: 7\n", "seed: &seed 7\n", 1).replace("seed: 42", "seed: *seed")
    )
    (tmp_path / "mine.yaml").write_text("base: shop.yaml\ningest: {seed: 8}\n")
    train = load_with_base(tmp_path / "mine.yaml").candidates["rcgan"]
    assert train.seed == 7
    with pytest.raises(RecganError, match=r"shop\.yaml shares values .* write them out"):
        use(str(tmp_path / "mine.yaml"), root=tmp_path)
    assert not (tmp_path / "params.yaml").exists()
