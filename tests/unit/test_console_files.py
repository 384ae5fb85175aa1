"""The console's files: what is served, how, and that nothing in them needs more than the content security policy allows."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest
from chalice.app import Response
from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager
from chalice.utils import UI, OSUtils

from chalicelib.entrypoints import console
from chalicelib.entrypoints.http import Request
from chalicelib.errors import NotFound

ROOT = Path(__file__).parents[2]
MOST_BYTES = 150_000
HOST = "https://api.test"
LIBRARY = "preact-htm.js"
# Of preact/standalone.module.js in the npm package htm 3.1.1.
LIBRARY_SHA256 = "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
SERVED = sorted(file.name for file in console.FOLDER.iterdir() if file.suffix in console.MEDIA_TYPES)
OURS = sorted(set(SERVED) - {LIBRARY})
FILES = sorted(set(SERVED) - {console.INDEX})


def asked(path: str, **headers: str) -> Request:
    return Request("GET", path, {name.replace("_", "-"): value for name, value in headers.items()}, {}, b"", {}, "corr-1")


def served(name: str, **headers: str) -> Response:
    if name == console.INDEX:
        return console.page(asked("/console", **headers))
    return console.file(asked(f"/console/{name}", **headers), name)


def followed(answer: Response, path: str) -> str:
    """Where a redirect leads a browser that has asked for this path: another path of the same host."""
    to = urljoin(f"{HOST}{path}", answer.headers["Location"])
    assert to.startswith(f"{HOST}/"), to
    return to.removeprefix(HOST)


def text(name: str) -> str:
    return (console.FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SERVED)
def test_each_file_is_served_as_it_is_with_its_type_a_tag_and_a_strict_policy(name: str) -> None:
    answer = served(name)

    assert (answer.status_code, answer.body.encode()) == (200, (console.FOLDER / name).read_bytes())
    assert answer.headers["Content-Type"] == {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}[Path(name).suffix] + (
        "; charset=utf-8"
    )
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.body.encode()).hexdigest()}"'
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", [console.INDEX, "app.js"])
def test_a_browser_asks_each_time_and_is_sent_only_what_it_lacks(name: str) -> None:
    first = served(name)
    again = served(name, if_none_match=first.headers["ETag"])

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.body, again.headers["ETag"]) == (304, "", first.headers["ETag"])
    assert served(name, if_none_match='"of-an-earlier-release"').status_code == 200


@pytest.mark.parametrize(
    "name", ["nothing.js", "../openapi.json", "..", "", "LICENSE.preact-htm.txt", "index.html", "/etc/passwd", "app.js/"]
)
def test_nothing_else_is_served(name: str) -> None:
    with pytest.raises(NotFound):
        console.file(asked(f"/console/{name}"), name)


@pytest.mark.parametrize(
    ("path", "below", "to"),
    [
        ("/", "", "/console"),
        ("/dev/", "", "/dev/console"),
        ("/dev", "", "/dev/console"),
        ("/dev/", "/restapis/a1", "/restapis/a1/dev/console"),
        ("//a.test/", "", "/a.test/console"),
        ("/https:", "", "/https:/console"),
    ],
)
def test_the_root_leads_to_the_page_below_its_own_path(path: str, below: str, to: str) -> None:
    answer = console.root(asked(path))
    assert (answer.status_code, followed(answer, below + path)) == (303, to)


@pytest.mark.parametrize(
    ("path", "to"), [("/console/", "/console"), ("/dev/console/", "/dev/console"), ("/console/console/", "/console/console")]
)
def test_a_slash_behind_the_page_is_taken_away_as_its_relative_addresses_would_lead_elsewhere(path: str, to: str) -> None:
    answer = console.page(asked(path))
    assert (answer.status_code, followed(answer, path)) == (303, to)


def test_all_files_together_are_small() -> None:
    assert sum(file.stat().st_size for file in console.FOLDER.iterdir()) <= MOST_BYTES


def test_they_are_in_the_package_for_lambda() -> None:
    osutils = OSUtils()
    packed = {
        inside
        for _, inside in LambdaDeploymentPackager(osutils, DependencyBuilder(osutils), UI())._iter_chalice_lib_if_needed(
            str(ROOT / "orders_app")
        )
    }
    assert {f"chalicelib/static/console/{name}" for name in SERVED} <= packed


def test_the_library_is_the_pinned_one_and_its_licences_lie_beside_it() -> None:
    ours, theirs = text(LIBRARY).split("\n", 1)
    assert hashlib.sha256(theirs.encode()).hexdigest() == LIBRARY_SHA256
    assert "htm 3.1.1" in ours
    licences = text("LICENSE.preact-htm.txt")
    assert "Apache License" in licences
    assert "The MIT License" in licences


class Page(HTMLParser):
    """What the page refers to, and where it has anything inline."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href")]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


def test_the_page_has_nothing_inline_and_refers_to_its_own_files_by_relative_addresses() -> None:
    page = Page()
    page.feed(text(console.INDEX))

    assert page.inline == []
    referred = {target for target in page.targets if not target.startswith("data:")}
    assert referred <= {f"console/{name}" for name in FILES}
    assert {"console/app.js", "console/style.css"} <= referred


@pytest.mark.parametrize("name", OURS)
def test_no_file_asks_for_anything_from_elsewhere_or_makes_code_or_markup_of_text(name: str) -> None:
    code = text(name)

    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\bstyle=|localStorage|sessionStorage", code
        )
        == []
    )
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+|@import|url\((?!#)", code) == []
    assert {imported for imported in re.findall(r'from "\./([^"]+)"', code)} <= set(FILES)
    assert len(re.findall(r"^import |^} from ", code, re.MULTILINE)) == len(re.findall(r'from "\./', code))
