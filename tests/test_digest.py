"""What the digest sees: code that is reached, and nothing else. Tried on a small package with the same name."""

from __future__ import annotations

import importlib.util
import itertools
import os
from pathlib import Path

import pytest

from sgdsim import digest

FILES = {
    "__init__.py": '_MODULE_OF = {"answer": "low", "other": "unrelated"}\n',
    "low.py": '"""Low."""\n\n\ndef answer(x):\n    """Doc."""\n    return 42 * x  # why\n',
    "middle.py": "from sgdsim.low import answer\n\n\ndef twice(x):\n    return 2 * answer(x)\n",
    "unrelated.py": "other = 1\n",
    "deep/__init__.py": "from . import leaf\nfrom .leaf import stem\n",
    "deep/leaf.py": "stem = 7\n",
    "topic.py": '''"""A topic."""
import math

SCALE = 3
UNUSED = 4


class Claim:
    def __init__(self, name, title="", caveat="", claimed=None):
        self.claimed = claimed


claim = Claim("a", title="words", caveat="more words", claimed=1.0)


def helper(x):
    return SCALE * x * claim.claimed


def bystander(x):
    return UNUSED * x


def check(x):
    """What it does."""
    from sgdsim.middle import twice

    return helper(twice(x)) + math.pi
''',
}
TICK = itertools.count(1)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The small package on disk; returns a function that edits a file and gives the digest of `topic.check`."""
    root = tmp_path / "sgdsim"
    monkeypatch.setattr(digest, "ROOT", root)
    digest._public.cache_clear()

    def write(name: str, text: str) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf8")
        os.utime(path, ns=(0, 10**9 * next(TICK)))  # two edits within one tick of the clock would look like one

    def of_check(edit: str = "", old: str = "", new: str = "", function: str = "check") -> str:
        if edit:
            text = (root / edit).read_text("utf8")
            assert old in text
            write(edit, text.replace(old, new))
        spec = importlib.util.spec_from_file_location(f"topic_{next(TICK)}", root / "topic.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return digest.of_function(getattr(module, function))

    for name, text in FILES.items():
        write(name, text)
    yield of_check
    digest._public.cache_clear()


@pytest.mark.parametrize("edit, old, new", [
    ("low.py", "  # why", "  # because"),
    ("low.py", '"""Doc."""', '"""Other words."""'),
    ("low.py", '"""Low."""\n', '"""Low.\n\nMore.\n"""\n\n\n'),
    ("topic.py", '"""What it does."""', '"""What it does not."""'),
    ("topic.py", 'title="words"', 'title="better words"'),
    ("topic.py", 'caveat="more words"', 'caveat=""'),
    ("topic.py", "UNUSED * x", "UNUSED * x * x"),
    ("topic.py", "UNUSED = 4", "UNUSED = 5"),
    ("topic.py", "import math\n", "import math\n\n# moved down\n\n"),
    ("unrelated.py", "other = 1", "other = 2"),
], ids=lambda value: value if value.endswith(".py") else "")
def test_words_and_bystanders_do_not_count(package, edit, old, new):
    before = package()
    assert package(edit, old, new) == before


@pytest.mark.parametrize("edit, old, new", [
    ("low.py", "42 * x", "43 * x"),
    ("middle.py", "2 * answer", "3 * answer"),
    ("topic.py", "helper(twice(x))", "helper(x)"),
    ("topic.py", "SCALE * x", "SCALE + x"),
    ("topic.py", "SCALE = 3", "SCALE = 3.5"),
    ("topic.py", "claimed=1.0", "claimed=2.0"),
    ("topic.py", "from sgdsim.middle import twice", "from sgdsim.deep import stem as twice"),
], ids=lambda value: value if value.endswith(".py") else "")
def test_an_edit_that_is_reached_counts(package, edit, old, new):
    before = package()
    assert package(edit, old, new) != before


@pytest.mark.parametrize("old, new", [
    ("SCALE = 3", "SCALE = 3\nSCALE += 1"),
    ("SCALE = 3", "if math.pi > 3:\n    SCALE = 3"),
    ("SCALE = 3", "for SCALE in (3, 4):\n    pass"),
    ("SCALE = 3", "SCALE = 3\nglobals()['SCALE'] = 5"),
    ("import math", "import math\nfrom math import *"),
    ("def helper(x):", "TABLE = {}\n\n\ndef register(f):\n    TABLE[f.__name__] = f\n    return f\n\n\ndef helper(x):\n    assert TABLE"),
], ids=str)
def test_statements_that_act_count(package, old, new):
    """What a top-level statement does may reach a check without being named in it."""
    before = package()
    assert package("topic.py", old, new) != before


def test_what_a_registry_holds_counts(package):
    table = "TABLE = []\n\n\ndef register(f):\n    TABLE.append(f)\n    return f\n\n\n@register\ndef entry():\n    return 1\n\n\n"
    package("topic.py", "def helper(x):", table + "def helper(x):")
    package("topic.py", "return SCALE * x", "return register and SCALE * x")
    before = package()
    assert package("topic.py", "    return 1\n", "    return 2\n") != before


def test_attribute_access_and_star_imports_reach_every_public_name(package):
    for code in ("import sgdsim\nsgdsim.answer", "from sgdsim import *"):
        assert {path.name for path in digest.files_of_source(code)} >= {"low.py"}


def test_other_functions_of_a_module_have_their_own_digest(package):
    before = package(function="bystander")
    assert package("topic.py", "SCALE = 3", "SCALE = 9", function="bystander") == before
    assert package("topic.py", "UNUSED = 4", "UNUSED = 9", function="bystander") != before


def test_undoing_an_edit_restores_the_digest(package):
    before = package()
    package("low.py", "42", "43")
    assert package("low.py", "43", "42") == before


def test_public_names_resolve_to_their_module_alone(package):
    names = {path.name for path in digest.files_of_source("from sgdsim import answer")}
    assert names == {"low.py"}


def test_relative_imports_and_packages_are_followed(package):
    paths = {path.relative_to(digest.ROOT).as_posix() for path in digest.files_of_source("import sgdsim.deep")}
    assert paths == {"deep/__init__.py", "deep/leaf.py"}
    before = digest.of_modules(["sgdsim.deep"])
    (digest.ROOT / "deep/leaf.py").write_text("stem = 8\n")
    assert digest.of_modules(["sgdsim.deep"]) != before


def test_data_settings_and_versions_count(tmp_path, monkeypatch):
    data = tmp_path / "rows.jsonl"
    data.write_text("1")
    code = "import numpy\nx = 1"
    before = digest.of_source(code, data=[data], settings={"scale": 1})
    assert digest.of_source(code, data=[data], settings={"scale": 2}) != before
    data.write_text("2")
    changed = digest.of_source(code, data=[data], settings={"scale": 1})
    assert changed != before
    monkeypatch.setattr(digest, "_version", lambda name: "0.0")
    assert digest.of_source(code, data=[data], settings={"scale": 1}) != changed
    assert digest.of_source("x = 1") == digest.of_source("x = 1  # no library, no version")


def test_a_real_module_has_its_closure():
    names = {path.relative_to(digest.ROOT).as_posix() for path in digest.files_of_source("from sgdsim.ledger import Claim")}
    assert {"ledger.py", "evidence.py", "statistics.py", "digest.py"} <= names
    assert not any(name.startswith(("nets", "claims")) for name in names)


def test_atomic_writes_leave_no_rest(tmp_path):
    path = tmp_path / "folder" / "memo.json"
    for text in ("first", "second ä"):
        digest.write_atomically(path, text)
        assert path.read_text("utf8") == text
    assert [p.name for p in path.parent.iterdir()] == ["memo.json"]


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path))
    assert digest.cache_folder() == tmp_path
    monkeypatch.delenv("SGDSIM_CACHE")
    assert digest.cache_folder() == Path.home() / ".cache" / "sgdsim"
