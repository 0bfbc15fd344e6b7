"""Boxes, tables and figures say the same in HTML and in a terminal."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from sgdsim import _markup, digest
from sgdsim.evidence import Evidence
from sgdsim.interactive import slider_plot
from sgdsim.ledger import Claim
from sgdsim.show import glue, show, stored

ROOT = Path(__file__).resolve().parents[2]


half_of_two = Claim(
    "half-of-two", title="Half & whole", statement=r"Half of $2<3$ is *one*: $$\E 1=1$$", source="arithmetic",
    caveat="Only for numbers.", claimed=1.0, mutants={"flipped": -1.0}, reconstructed=True,
)


@half_of_two.check("simulation", title="halving")
def halving(claimed):
    return Evidence.equal(1.0, claimed, within=0.01)


@half_of_two.check("worst case", requires=("a_package_that_is_not_there",))
def absent(claimed):
    return Evidence.at_most(1.0, claimed)


@pytest.fixture
def claim(tmp_path, monkeypatch):
    monkeypatch.setenv("SGDSIM_CACHE", str(tmp_path))
    return half_of_two


def test_the_box_tells_all_in_html_and_text(claim):
    box = show(claim)
    page, text = box._repr_html_(), repr(box)
    for words in ("holds with a caveat", "worst case open", "halving", "arithmetic", "Only for numbers", "econstructed"):
        assert words in page and words in text, words
    assert 'id="claim-half-of-two"' in page and 'data-claim="half-of-two"' in page
    assert "Half &amp; whole" in page and "2&lt;3" in page and "\\mathbb{E}" in page
    assert "def halving(claimed)" in page, "the code of the checks is in the box"
    assert page.count("<tr>") == 3 and page.count("<details") == page.count("</details>")


def test_show_wants_a_claim():
    with pytest.raises(ValueError, match="must be a Claim"):
        show("half-of-two")


def test_macros_are_those_of_the_book():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["sphinx"]["config"]["mathjax3_config"]
    book = {name: body[0] if isinstance(body, list) else body for name, body in config["tex"]["macros"].items()}
    assert book == _markup.MACROS


def test_glue_prints_outside_the_book(capsys, monkeypatch):
    monkeypatch.delenv("SGDSIM_BOOK", raising=False)
    glue("floor", np.float64(0.25))
    assert capsys.readouterr().out == "floor = 0.25\n"


def test_stored_files_are_found_in_the_checkout_and_in_the_package(tmp_path, monkeypatch):
    import sgdsim.show

    package = tmp_path / "sgdsim"
    (package / "_runs/topic").mkdir(parents=True)
    (package / "_runs/topic/rows.jsonl").write_text("installed")
    monkeypatch.setattr(sgdsim.show, "__file__", str(package / "show.py"))
    assert stored("data/runs/topic/rows.jsonl").read_text() == "installed"
    with pytest.raises(ValueError, match="gone.jsonl"):
        stored("data/runs/topic/gone.jsonl")


def test_the_slider_holds_every_curve():
    x = np.linspace(1, 10, 5)
    page = slider_plot(x, {0.1: {"a": x, "b": x**2}, 0.2: {"a": -x, "b": x}}, xlabel="t", ylabel="y", slider_label="rate",
                       alt="Two curves.", ylog=True)
    markup = page._repr_html_()
    assert markup.count('data-curve="') == 2 and 'aria-label="Two curves."' in markup
    assert 'max="1"' in markup and re.search(r'<label for="(slider-\w+-input)".*<input id="\1"', markup, re.S)
    assert "http" not in markup, "nothing is fetched"
    assert "nan" not in markup
    assert repr(page) == "Interactive figure: Two curves. Slider: rate in 0.1, 0.2."


@pytest.mark.parametrize("wrong", [
    {"curves": {}},
    {"curves": {1: {"a": [1.0, 2.0]}}},
    {"curves": {1: {"a": [1.0] * 5}, 2: {"b": [1.0] * 5}}},
    {"alt": " "},
])
def test_the_slider_refuses_what_it_cannot_draw(wrong):
    right = {"curves": {1: {"a": [1.0] * 5}}, "alt": "A line."}
    settings = right | wrong
    with pytest.raises(ValueError, match="curves|alt"):
        slider_plot(np.arange(5.0), settings["curves"], xlabel="t", ylabel="y", slider_label="rate", alt=settings["alt"])


def test_digest_of_pages_is_that_of_the_package():
    """One digest decides what is stale; the extension has none of its own."""
    source = (ROOT / "book/_ext/sgdbook/cachekey.py").read_text("utf8")
    assert "digest.of_source" in source and "ast." not in source and digest.of_source("x = 1")
