"""A winner is written into params.yaml, where nothing else changes; the command that does it."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from recgan.core.errors import RecganError
from recgan.settings import load_params
from recgan.tuning.search import search, write_winner
from tests.tuning.conftest import came_to, edit, edit_params


def changed_lines(before, after):
    before, after = before.splitlines(), after.splitlines()
    assert len(before) == len(after)
    return {ours: theirs for ours, theirs in zip(before, after, strict=True) if ours != theirs}


def test_a_classical_ones_winner_becomes_its_grid_and_nothing_else_changes(project):
    root = project()
    path = root / "params.yaml"
    path.write_text(path.read_text().replace("  ease:\n", "  # a linear one\n  ease:   # of Steck\n"))
    before = path.read_text()
    found = search("ease", trials=6, root=root)
    found = replace(found, best=replace(found.best, settings={"l2": 432.5}))
    assert write_winner(found, root).path == path
    changes = changed_lines(before, path.read_text())
    assert changes == {"    l2: [10, 30, 100, 200, 400, 800, 1600]": "    l2: [432.5]"}
    before_it, now = (load_params(one).candidates for one in (root / "params.yaml.bak", path))
    assert now["ease"] == before_it["ease"].model_copy(update={"l2": (432.5,)})
    assert (root / "params.yaml.bak").read_text() == before


@pytest.mark.parametrize(
    "params", ["examples/shop.yaml", "examples/online-retail.yaml", "examples/own-files.yaml"]
)
def test_a_gans_winner_is_written_where_it_stood(project, params):
    root = project(params=params)
    path = root / "params.yaml"
    before, n = re.subn(r"(?m)^(    adversarial: \d+)$", r"\1   # lambda", path.read_text())
    assert n == 1
    path.write_text(before)
    found = search("rcgan", trials=1, root=root)
    settings = {
        **found.space.present,
        "generator.hidden": [12],
        "generator.learning_rate": 0.00003,
        "adversarial": 3.5,
    }
    write_winner(replace(found, best=replace(found.best, settings=settings)), root)
    changes = changed_lines(before, path.read_text())
    assert len(changes) == 3
    (changed,) = (new for old, new in changes.items() if "lambda" in old)
    assert changed.split("#") == ["    adversarial: 3.5 ", " lambda"]
    ours = load_params(path).candidates["rcgan"]
    assert (ours.generator.hidden, ours.generator.learning_rate, ours.adversarial) == ((12,), 3e-5, 3.5)
    assert ours.critic == load_params(root / "params.yaml.bak").candidates["rcgan"].critic


def test_what_is_no_candidate_yet_becomes_one_by_its_winner(project):
    root = project()
    edit_params(root, lambda one: one["rcgan"].update(seed=7))
    path = root / "params.yaml"
    text = path.read_text().replace("  ease:\n", "  # a linear one\n  ease:\n")
    path.write_text(text)
    was = load_params(path)
    found = search("cfgan", trials=2, root=root)
    assert "cfgan" not in was.candidates
    replaced = write_winner(found, root)
    now = load_params(path)
    assert list(now.candidates) == [*was.candidates, "cfgan"]
    assert now.candidates["cfgan"] == found.space.params(found.best.settings).candidates["cfgan"]
    assert now.candidates["cfgan"].seed == 7  # as the others are measured
    assert {name: one for name, one in now.candidates.items() if name != "cfgan"} == was.candidates
    before, after = text.splitlines(), path.read_text().splitlines()
    start = after.index("  cfgan:")
    added = len(after) - len(before)
    assert [*after[:start], *after[start + added :]] == before
    assert replaced.before.read_text() == text
    again = search("cfgan", trials=3, root=root)  # now params.yaml's own, and still the same search
    assert came_to(again)[:2] == came_to(found)
    assert again.space.base is None


def test_a_classical_one_comes_from_a_base_as_it_stands_there(project):
    """It has no Trainer, and its seed is its own: a GAN's is none of its business."""
    root = project()
    edit(root, lambda content: content["ials"].update(base="examples/shop.yaml"))
    edit_params(root, lambda one: one.pop("ials"))
    found = search("ials", trials=1, root=root)
    write_winner(found, root)
    now, shop = (
        load_params(root / name).candidates["ials"] for name in ("params.yaml", "examples/shop.yaml")
    )
    assert now.seed == shop.seed != load_params(root / "params.yaml").candidates["rcgan"].seed
    chosen = {name: (value,) for name, value in found.best.settings.items()}
    assert now.grid() == {**chosen, "half_life_days": shop.half_life_days}  # each fit chooses it


def test_what_would_be_a_faulty_file_is_not_written(project):
    root = project()
    before = (root / "params.yaml").read_text()
    found = search("ease", trials=1, root=root)
    with pytest.raises(RecganError, match=r"candidates\.ease\.l2"):
        write_winner(replace(found, best=replace(found.best, settings={"l2": -1})), root)
    assert (root / "params.yaml").read_text() == before
    assert not (root / "params.yaml.bak").exists()


def test_without_a_name_it_is_the_first_gan_of_params_yaml(project):
    root = project()
    edit_params(root, lambda one: one.update(again=one["rcgan"]))
    assert search(trials=1, root=root).space.name == "rcgan"
    edit_params(root, lambda one: one.pop("rcgan"))
    assert search(trials=1, root=root).space.name == "again"
    edit_params(root, lambda one: one.pop("again"))
    with pytest.raises(RecganError, match="has no GAN to search; name one of popularity, itemknn"):
        search(trials=1, root=root)


def test_the_command_searches_shows_and_writes(project):
    root = project()
    command = [sys.executable, "-m", "recgan", "tune", "--candidate"]
    asked = [*command, "ease", "--trials", "3", "--write"]
    done = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True)
    assert "ease: 3 trials in" in done.stdout
    assert "params.yaml now holds the best settings" in done.stdout
    assert done.stderr == ""
    assert len(load_params(root / "params.yaml").candidates["ease"].l2) == 1
    refused = subprocess.run([*command, "eese"], cwd=root, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr == "error: no recommender 'eese'; did you mean ease?\n"


def test_a_classical_one_is_searched_without_torch():
    code = "import sys, recgan.tuning.search; print({'torch', 'optuna', 'lightning'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
