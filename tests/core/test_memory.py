"""What does not fit is refused by name before anything begins."""

import pytest
import yaml

from recgan.core import memory
from recgan.core.differences import merged
from recgan.core.errors import RecganError
from recgan.core.memory import Need, refuse, tell
from recgan.recommenders.settings import ClassicalGrid, neighbours_need
from recgan.settings import Params, check_params, load_with_base
from tests.conftest import ROOT, SHOP

GIB = 2**30


def shop(must_beat=(), **candidates):
    """The shop's params with other sections of candidates; None leaves one out."""
    content = yaml.safe_load(SHOP.read_text(encoding="utf-8"))
    content = merged(content, {"candidates": candidates}, Params)
    content["register"]["gate"]["must_beat"] = list(must_beat)
    return check_params(content, "params.yaml")


def cgroup(root, place, stat="inactive_file 0\n", version=2, **values):
    base = root / "sys/fs/cgroup" / ("memory" if version == 1 else "") / place
    base.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (base / f"memory.{name}").write_text(f"{value}\n")
    (base / "memory.stat").write_text(stat)
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    line = f"0::/{place}" if version == 2 else f"7:cpu,memory:/{place}"
    (root / "proc/self/cgroup").write_text(f"{line}\n")


@pytest.fixture
def system(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_SYSTEM", tmp_path)
    machine = type("Machine", (), {"total": 64 * GIB, "available": 50 * GIB})
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: machine)
    return tmp_path


def test_a_machine_without_limits_has_what_the_system_says(system):
    assert (memory.total(), memory.free()) == (64 * GIB, 50 * GIB)
    cgroup(system, "user", max="max", current=GIB)
    assert (memory.total(), memory.free()) == (64 * GIB, 50 * GIB)


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_counts_and_its_cached_files_are_free(system, version):
    names = ("max", "current") if version == 2 else ("limit_in_bytes", "usage_in_bytes")
    stat = f"anon 5\n{'inactive_file' if version == 2 else 'total_inactive_file'} {2 * GIB}\n"
    cgroup(system, "a/b", stat, version, **dict(zip(names, (8 * GIB, 5 * GIB), strict=True)))
    assert (memory.total(), memory.free()) == (8 * GIB, 5 * GIB)
    cgroup(system, "a", "", version, **dict(zip(names, (6 * GIB, 5 * GIB), strict=True)))  # the one around it
    cgroup(system, "a/b", stat, version)
    assert (memory.total(), memory.free()) == (6 * GIB, GIB)


def test_all_that_does_not_fit_is_in_one_message(system):
    refuse([Need("small", GIB, "little", "nothing")])
    with pytest.raises(RecganError) as caught:
        refuse(
            [Need("one", 60 * GIB, "x", "lower x"), Need("small", GIB, "", ""), Need("two", 2**50, "y", "z")]
        )
    assert str(caught.value).splitlines() == [
        "not enough memory: 50.0 GiB of 64.0 GiB are free here, but these need more:",
        "  one: 60.0 GiB for x; lower x",
        "  two: 1,048,576.0 GiB for y; z",
    ]


@pytest.mark.parametrize("bytes_each", [GIB, 2**20])
def test_what_takes_much_is_told_and_all_is_handed_on(system, caplog, bytes_each):
    needs = [Need("one", bytes_each, "x", ""), Need("two", 3 * GIB, "y", "")]
    with caplog.at_level("INFO", "recgan"):
        assert tell(iter(needs)) == needs
    told = ["two takes 3.0 GiB for y; 50.0 GiB are free"]
    if bytes_each == GIB:
        told.insert(0, "one takes 1.0 GiB for x; 50.0 GiB are free")
    assert caplog.messages == told


def candidates_need(params, n_items):
    sections = params.candidates.values()
    classical = [section for section in sections if isinstance(section, ClassicalGrid)]
    assert classical
    return [need for section in classical for need in section.needs(n_items)]


def test_a_large_catalogue_is_refused_by_name(system):
    """18 * 60,000² bytes are 60.3 GiB; the widest of the shop's grid keeps 800 neighbours."""
    large = 60_000
    with pytest.raises(RecganError, match=r"ease: 60\.3 GiB for .*60,000 x 60,000 items; raise features"):
        refuse(candidates_need(shop(), large))
    refuse(candidates_need(shop(ease=None), large))
    refuse(candidates_need(shop(), 8_000))


def test_what_is_no_candidate_cannot_be_one_to_beat():
    with pytest.raises(RecganError, match=r"must_beat names ease, which is no candidate; take it out"):
        shop(ease=None, must_beat=["popularity", "ease"])


def test_the_students_need_is_that_of_its_blocks_and_its_teachers_scores():
    """40 n² at once; in blocks 40 (2b)² and 48 n k; and 4 for each taught user and item."""
    train = load_with_base(ROOT / "examples/student-ml100k.yaml").candidates["student"]

    def need(settings, n_users, n_items):
        [one] = settings.needs(n_users, n_items, on_gpu=False)
        return one

    solved = train.model_copy(update={"block_items": None, "neighbours": None, "teacher_users": 100})
    assert need(solved, 1000, 5000).bytes == 40 * 5000**2 + 4 * 100 * 5000
    blocks = solved.model_copy(update={"block_items": 1000, "neighbours": 50, "teacher_users": None})
    assert need(blocks, 1000, 5000).bytes == 40 * 2000**2 + 48 * 5000 * 50 + 4 * 1000 * 5000
    alone = solved.model_copy(update={"generated_weights": (0.0,)})
    assert need(alone, 1000, 5000).bytes == 40 * 5000**2


def test_neighbours_turn_dense_where_they_are_many():
    assert neighbours_need("x", (20, 100), 1600).bytes == 48 * 1600 * 100
    assert neighbours_need("x", (20, 100), 1599).bytes == 48 * 1599 * 100 + 8 * 1599**2
