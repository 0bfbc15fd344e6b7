"""Cells that a page hides stay in its notebook.

MyST-NB drops the source of cells tagged `remove-input` while it reads a page. Here it is kept in the document,
marked, and dropped again when HTML is written; so one reading serves both builders. (`cachekey.salt` turns
`remove-cell`, which would be lost before that, into `remove-input, remove-output`.)
"""

from __future__ import annotations

from docutils import nodes
from myst_nb.core.render import MditRenderMixin
from sphinx.transforms.post_transforms import SphinxPostTransform

WITHOUT_SOURCE = {"remove-input", "remove_input"}
_render = MditRenderMixin.render_nb_cell_code


def _render_marked(self, token):
    metadata = token.meta["metadata"]
    tags = set(metadata.get("tags", []))
    if not tags & WITHOUT_SOURCE:
        return _render(self, token)
    token.meta["metadata"] = {**metadata, "tags": sorted(tags - WITHOUT_SOURCE)}
    before = len(self.current_node.children)
    _render(self, token)
    for node in self.current_node.children[before:]:
        node["sgd_unseen"] = True
    return None


class DropUnseen(SphinxPostTransform):
    """Take the marked sources out of a page before it becomes HTML."""

    default_priority = 4
    formats = ("html",)

    def run(self, **kwargs):
        """Clean the page at hand."""
        for cell in list(self.document.findall(nodes.container)):
            if not cell.get("sgd_unseen"):
                continue
            outputs = [child for child in cell.children if child.get("nb_element") == "cell_code_output"]
            if outputs:
                cell.children = outputs
            elif cell.parent is not None:
                cell.parent.remove(cell)


def setup(app):
    """Register with Sphinx."""
    MditRenderMixin.render_nb_cell_code = _render_marked
    app.add_post_transform(DropUnseen)
