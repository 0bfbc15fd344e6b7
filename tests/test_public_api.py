"""What the package promises: every public name imports, is documented with an example, and type checks."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import sgdsim
from sgdsim.digest import cache_folder
from sgdsim.formula import Formula

REPOSITORY = Path(sgdsim.__file__).parents[1]
NAMES = sgdsim.__all__


def sections(docstring: str) -> dict[str, str]:
    """A docstring in numpydoc form as a table of its sections; the summary stands under the empty name."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}$", inspect.cleandoc(docstring), flags=re.M)
    return {"": parts[0].strip(), **dict(zip(parts[1::2], parts[2::2], strict=True))}


def parameters(thing: object) -> list[str]:
    if isinstance(thing, Formula):
        thing = thing.function
    return [name for name, p in inspect.signature(thing).parameters.items() if p.kind is not p.VAR_KEYWORD]


def test_the_list_is_sorted_and_has_no_doubles():
    assert list(NAMES) == sorted(set(NAMES))
    assert set(NAMES) <= set(dir(sgdsim))


@pytest.mark.parametrize("name", NAMES)
def test_public_name_is_documented(name):
    thing = getattr(sgdsim, name)
    assert thing.__doc__, f"{name} has no docstring"
    found = sections(thing.__doc__)
    summary = found[""].splitlines()[0]
    assert summary.endswith((".", "!")) or len(found[""].splitlines()) > 1, f"{name}: one line of summary"
    assert ">>>" in found.get("Examples", ""), f"{name}: an example that runs"
    missing = [p for p in parameters(thing) if not re.search(rf"\b{p}\b", thing.__doc__)]
    assert not missing, f"{name}: parameters without a word: {missing}"
    headings = re.findall(r"^([A-Z][a-z ]+)\n-+$", inspect.cleandoc(thing.__doc__), flags=re.M)
    order = ["Parameters", "Attributes", "Returns", "Raises", "Notes", "References", "Examples"]
    assert headings == [h for h in order if h in headings], f"{name}: order of sections"


@pytest.mark.parametrize("name", NAMES)
def test_public_methods_are_documented(name):
    thing = getattr(sgdsim, name)
    if inspect.isclass(thing):
        bare = [method for method, value in inspect.getmembers(thing)
                if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
                and not (inspect.getdoc(value) or "").strip()]
        assert not bare, f"{name}: methods without a docstring: {bare}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="frobnicate"):
        sgdsim.frobnicate  # noqa: B018
    with pytest.raises(ImportError):
        from sgdsim import frobnicate  # noqa: F401


def test_the_version_is_that_of_the_distribution():
    text = (REPOSITORY / "pyproject.toml").read_text("utf8")
    assert f'version = "{sgdsim.__version__}"' in text


@pytest.mark.slow
def test_types():
    """mypy over the whole package, with the settings of pyproject.toml."""
    api = pytest.importorskip("mypy.api")
    if not (REPOSITORY / "pyproject.toml").is_file():
        pytest.skip("the package was installed without its repository")
    out, errors, status = api.run(["--config-file", str(REPOSITORY / "pyproject.toml"), "--no-error-summary",
                                   "--cache-dir", str(cache_folder() / "mypy"), str(REPOSITORY / "sgdsim")])
    assert status == 0, out + errors
