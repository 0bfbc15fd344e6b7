"""Numbers and cross-references of claims, from the boxes that `sgdsim.show.show` leaves in the pages.

A box carries `data-claim="<id>"`; `data-claim-number` and `data-claim-link` are places to fill. The role
{claim}`noise-floor` refers to a box from any page. A claim shown nowhere, or twice, is a warning.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

log = logging.getLogger(__name__)
BOX = re.compile(r'data-claim="([\w-]+)"')
NUMBER = re.compile(r'<span data-claim-number="([\w-]+)">.*?</span>')
LINK = re.compile(r'<a data-claim-link="([\w-]+)">(.*?)</a>')
STYLE = re.compile(r"<style data-claim-style>.*?</style>", re.S)


class claim_reference(nodes.Inline, nodes.TextElement):
    """A reference to a claim, before numbers are known."""


class run_time(nodes.Inline, nodes.TextElement):
    """A place for the measured run time of the page."""


class ClaimRole(SphinxRole):
    """{claim}`noise-floor` gives 'Claim 1.3'; {claim}`words <noise-floor>` gives the words."""

    def run(self):
        named = re.fullmatch(r"(.+?)\s*<([\w-]+)>", self.text, re.S)
        words, target = (named[1], named[2]) if named else ("", self.text.strip())
        node = claim_reference(self.rawtext, "", target=target, words=words)
        self.set_source_info(node)
        return [node], []


class RunTimeRole(SphinxRole):
    """{run-time}`this-page` gives the time that the page took when the book was built."""

    def run(self):
        return [run_time(self.rawtext, "")], []


def _collect(app, doctree):
    markup = [raw.astext() for raw in doctree.findall(nodes.raw)]
    _shown(app.env)[app.env.docname] = [name for text in markup for name in BOX.findall(text)]
    if any('class="math' in text for text in markup):          # else Sphinx leaves MathJax out of the page
        app.env.get_domain("math").data["has_equations"][app.env.docname] = True


def _shown(env):
    if not hasattr(env, "sgd_claims"):
        env.sgd_claims = {}
    return env.sgd_claims


def _purge(app, env, docname):
    _shown(env).pop(docname, None)


def _merge(app, env, docnames, other):
    _shown(env).update({d: _shown(other)[d] for d in docnames if d in _shown(other)})


def _numbers(env):
    """Claim id -> (page, 'chapter.position')."""
    table = {}
    for docname, boxes in _shown(env).items():
        chapter = env.toc_secnumbers.get(docname, {}).get("") or ()
        for position, name in enumerate(boxes, 1):
            table[name] = (docname, ".".join(map(str, (*chapter[:1], position))))
    return table


def _check_shown(app, env):
    from sgdsim.claims import load_all

    shown = [name for boxes in _shown(env).values() for name in boxes]
    for claim in load_all():
        count = shown.count(claim.id)
        if count != 1:
            where = [d for d, boxes in _shown(env).items() if claim.id in boxes]
            log.warning("claim %r of %s is shown %d times %s", claim.id, claim.topic, count, where or "")


class FillClaims(SphinxPostTransform):
    """Put numbers and addresses in their places."""

    default_priority = 5

    def run(self, **kwargs):
        """Fill the page at hand."""
        self.table = _numbers(self.env)
        for node in list(self.document.findall(claim_reference)):
            node.replace_self(self._reference(node))
        for node in list(self.document.findall(run_time)):
            node.replace_self(nodes.Text(_duration(self.env, self.env.docname)))
        for raw in list(self.document.findall(nodes.raw)):
            if "data-claim" in raw.astext():
                text = STYLE.sub("", raw.astext())
                text = NUMBER.sub(self._number, text)
                raw.children = [nodes.Text(LINK.sub(self._link, text))]
                raw.rawsource = str(raw.children[0])

    def _address(self, name):
        here = self.env.docname
        page = self.table[name][0]
        return (self.app.builder.get_relative_uri(here, page) if page != here else "") + f"#claim-{name}"

    def _reference(self, node):
        name = node["target"]
        if name not in self.table:
            log.warning("unknown claim %r", name, location=node)
            return nodes.literal(text=name)
        words = node["words"] or f"Claim {self.table[name][1]}"
        return nodes.reference("", words, refuri=self._address(name), internal=True, classes=["claim-ref"])

    def _number(self, found):
        name = found[1]
        number = self.table[name][1] if name in self.table else ""
        return f'<a class="claim-number" href="{self._address(name)}">Claim {number}</a>' if number else "Claim"

    def _link(self, found):
        name = found[1]
        if name not in self.table:
            return found[2]
        return f'<a href="{self._address(name)}">{found[2]}</a>'


def _duration(env, docname):
    from myst_nb.core.execute.base import ExecutionResult  # noqa: F401  (fails early if MyST-NB moves its parts)
    from myst_nb.sphinx_ import NbMetadataCollector

    data = NbMetadataCollector.get_exec_data(env, docname) or {}
    seconds = data.get("runtime")
    if seconds is None:
        return "not measured"
    text = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    return f"{text} when this page was built"


def setup(app):
    """Register with Sphinx."""
    app.add_node(claim_reference)
    app.add_node(run_time)
    app.add_role("claim", ClaimRole())
    app.add_role("run-time", RunTimeRole())
    app.add_post_transform(FillClaims)
    app.connect("doctree-read", _collect)
    app.connect("env-purge-doc", _purge)
    app.connect("env-merge-info", _merge)
    app.connect("env-check-consistency", _check_shown)
