"""Checks of the rendered book that need no network.

Missing files, dead links and anchors, resources from outside, images without alternative text, headings, repeated ids.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

RESOURCES = (("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"))


def resources(page, soup):
    """Scripts, styles and images must be local and exist."""
    for tag, attribute in RESOURCES:
        for node in soup.find_all(tag, attrs={attribute: True}):
            url = node[attribute]
            if tag == "link" and not {"stylesheet", "icon", "preload"} & set(node.get("rel", [])):
                continue
            if url.startswith(("http:", "https:", "//")):
                yield f"outside resource {url}"
            elif not url.startswith("data:") and not (page.parent / unquote(urlsplit(url).path)).exists():
                yield f"missing {url}"


def links(page, soup, ids):
    """Links inside the book must lead to a file, and to an anchor that is there."""
    for node in soup.find_all("a", href=True):
        url = urlsplit(node["href"])
        if url.scheme or url.netloc or node["href"] in ("#", "#!"):
            continue
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        target = target / "index.html" if target.is_dir() else target
        if not target.exists():
            yield f"dead link {node['href']}"
        elif url.fragment and target in ids and unquote(url.fragment) not in ids[target]:
            yield f"dead anchor {node['href']}"


def figures(soup):
    """Images and drawings need real alternative text."""
    article = soup.find("article") or soup
    for node in article.find_all("img"):
        alt = (node.get("alt") or "").strip()
        if not alt or alt.endswith((".png", ".svg")) or "_images" in alt:
            yield f"image without alternative text {node.get('src', '')[:80]}"
    for node in article.find_all("svg", attrs={"role": "img"}):
        if not (node.get("aria-label") or "").strip():
            yield "drawing without a label"
    for node in article.find_all("input"):
        if not node.get("aria-label") and not (node.get("id") and soup.find("label", attrs={"for": node["id"]})):
            yield f"input without a label {node.get('id')}"


def headings(soup):
    """One first heading, and no jump in depth."""
    article = soup.find("article") or soup
    found = [int(node.name[1]) for node in article.find_all(["h1", "h2", "h3", "h4", "h5"])]
    if found.count(1) != 1 and 'http-equiv="Refresh' not in str(soup):
        yield f"{found.count(1)} first headings"
    for above, below in zip(found, found[1:], strict=False):
        if below > above + 1:
            yield f"heading jumps from h{above} to h{below}"


def repeated_ids(soup):
    """An id may occur once."""
    seen = set()
    for node in soup.find_all(id=True):
        if node["id"] in seen:
            yield f"repeated id {node['id']}"
        seen.add(node["id"])


def unrendered(soup):
    """Marks of something that did not render."""
    article = soup.find("article") or soup
    text = article.get_text(" ")
    for mark in ("{eq}`", "{ref}`", "{cite", "{claim}`", "{glue", ":::{", "{numref}`", "{doc}`"):
        if mark in text and not any(mark in code.get_text(" ") for code in article.find_all(["pre", "code"])):
            yield f"unrendered {mark}"


def problems(root):
    """All findings below a folder, as 'page: finding'; and the number of pages."""
    pages = {p: BeautifulSoup(p.read_text("utf8"), "html.parser") for p in sorted(root.rglob("*.html"))
             if "_static" not in p.relative_to(root).parts}
    ids = {p: {t["id"] for t in s.find_all(id=True)} | {t["name"] for t in s.find_all("a", attrs={"name": True})}
           for p, s in pages.items()}
    found = []
    for page, soup in pages.items():
        checks = (resources(page, soup), links(page, soup, ids), figures(soup), headings(soup), repeated_ids(soup),
                  unrendered(soup))
        found += [f"{page.relative_to(root)}: {finding}" for check in checks for finding in check]
    return found, len(pages)


def main():
    """Command line: the folder of the rendered book."""
    found, pages = problems(Path(sys.argv[1]).resolve())
    print(f"{pages} pages checked, {len(found)} problems")
    for finding in found[:60]:
        print("  " + finding)
    return int(bool(found) or not pages)


if __name__ == "__main__":
    raise SystemExit(main())
