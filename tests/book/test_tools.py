"""The checks of the build find planted faults."""

from __future__ import annotations

from pathlib import Path

import check_html
import count_tests
import execute_book
import nbformat
import pytest
from sgdbook import coverage

ROOT = Path(__file__).resolve().parents[2]
PAGE = """<html><head><link rel="stylesheet" href="style.css"></head><body><article>
<h1 id="top">Title</h1><p><a href="#top">up</a> <a href="other.html#there">over</a></p><h2>Part</h2>
<img src="figure.png" alt="A curve that falls"><svg role="img" aria-label="A curve"></svg>
<label for="s">rate</label><input id="s" type="range"></article></body></html>"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "style.css").write_text("")
    (tmp_path / "figure.png").write_bytes(b"")
    (tmp_path / "other.html").write_text('<html><article><h1 id="there">Other</h1></article></html>')
    (tmp_path / "index.html").write_text(PAGE)
    return tmp_path


def test_a_good_site_passes(site):
    assert check_html.problems(site) == ([], 2)


@pytest.mark.parametrize(("old", "new", "finding"), [
    ('href="style.css"', 'href="https://cdn.example/style.css"', "outside resource"),
    ('src="figure.png"', 'src="gone.png"', "missing gone.png"),
    ('href="other.html#there"', 'href="gone.html"', "dead link"),
    ('href="other.html#there"', 'href="other.html#gone"', "dead anchor"),
    ('alt="A curve that falls"', 'alt=""', "without alternative text"),
    ('alt="A curve that falls"', 'alt="figure.png"', "without alternative text"),
    ('aria-label="A curve"', "", "drawing without a label"),
    ('<label for="s">rate</label>', "", "input without a label"),
    ("<h2>Part</h2>", "<h3>Part</h3>", "heading jumps"),
    ("<h2>Part</h2>", "<h1>Part</h1>", "first headings"),
    ("<h2>Part</h2>", '<h2 id="top">Part</h2>', "repeated id"),
    ("<h2>Part</h2>", "<p>see {eq}`x`</p>", "unrendered"),
])
def test_a_planted_fault_is_found(site, old, new, finding):
    (site / "index.html").write_text(PAGE.replace(old, new))
    found, _ = check_html.problems(site)
    assert any(finding in line for line in found), found


def test_an_undocumented_public_name_is_found(tmp_path):
    package = tmp_path / "pack"
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").write_text('_MODULE_OF = {"a": "ground"}\n__all__ = sorted(_MODULE_OF)\n')
    (package / "ground.py").write_text('__all__ = ["a", "b"]\n')
    (package / "plain.py").write_text("def c(): ...\ndef _hidden(): ...\n")
    (package / "room" / "__init__.py").write_text('from pack.room.inner import d\n__all__ = ["d"]\n')
    (package / "room" / "inner.py").write_text('__all__ = ["d", "e"]\n')
    names = {f"{module}.{name}" for module, name in coverage.public_names(package)}
    assert names == {"pack.a", "pack.ground.a", "pack.ground.b", "pack.plain.c", "pack.room.d"}
    assert set(coverage.missing(["pack.ground.a", "pack.room.inner.d"], package)) == {"pack.ground.b", "pack.plain.c"}
    assert "pack.room\n" in coverage.expand("% modules: room", package)


def test_tests_are_counted_from_the_report(tmp_path, capsys):
    report = tmp_path / "tests.xml"
    report.write_text('<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/></testsuites>')
    assert count_tests.counts(report) == (2, 2, 1)


def test_pins_are_the_same_everywhere():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    pins = {name.lower(): version for name, version in pins.items()}
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    assert all("+" not in version for version in pins.values()), "local version tags exist on one machine only"
    for line in wanted:
        name, version = line.split("==")
        assert pins[name.lower()] == version


def test_the_text_of_a_legend_goes_and_the_figure_stays():
    made = nbformat.v4.new_output
    legend = made("execute_result", {"text/plain": "<Legend at 0x7f>"}, execution_count=1)
    figure = made("display_data", {"text/plain": "<Figure>", "image/svg+xml": "<svg/>"})
    assert execute_book.without_reprs([legend, figure]) == [figure]
    assert execute_book.without_reprs([legend]) == [legend]
