"""The page for people: made of the document alone, and of nothing from elsewhere."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from chalicelib.entrypoints import documents
from chalicelib.entrypoints.http import Request
from infra.documents.openapi.document import build
from infra.documents.openapi.page import render
from infra.documents.openapi.routes import ROUTES

EMPTY = ("meta",)


class Reader(HTMLParser):
    """Collects what a page refers to, and refuses elements that aren't closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "action", "data")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return render(build())


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_it_shows_every_operation_with_its_path_and_every_answer(page: str, read: Reader) -> None:
    for route in ROUTES:
        assert route.name in read.ids
        assert f'<code class="path">{route.path}</code>' in page
    assert {"401", "402", "404", "409", "412", "413", "415", "422", "429", "502", "503"} <= set(re.findall(r"<code>(\d{3})</code>", page))


def test_it_loads_nothing_from_anywhere_and_runs_no_script(page: str, read: Reader) -> None:
    assert not read.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not [name for name in read.attributes if name.startswith("on") or name == "style"]
    assert {target for target in read.targets if not target.startswith("#")} == {"openapi.json"}
    assert not re.search(r"url\(|@import", page)


def test_its_links_lead_to_what_is_there(read: Reader) -> None:
    assert {target[1:] for target in read.targets if target.startswith("#")} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))


def test_the_browser_is_told_to_allow_its_style_sheet_and_nothing_else() -> None:
    answer = documents.docs(Request("GET", "/docs", {}, {}, b"", {}, "corr-1"))

    style = re.search("<style>(.*)</style>", answer.body, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_text_of_the_document_is_text_on_the_page() -> None:
    document = build()
    document["info"]["description"] = "<script>alert(1)</script> `<b>`"
    document["paths"]["/health"]["get"]["summary"] = '"><img src=x>'

    page = render(document)

    assert "<script" not in page
    assert "<img" not in page
    assert "<code>&lt;b&gt;</code>" in page
