"""The document as one HTML page: no script, no font, no image, nothing from elsewhere. It is made of the document and nothing besides."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Json = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2563eb; --back: #fff; --pale: #555; --link: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --back: #121212; --pale: #aaa; --link: #93b4ff; } }
a { color: var(--link); } body { background: var(--back); overflow-wrap: break-word; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: 0 .8rem; }
details details { border-width: 0 0 0 2px; border-radius: 0; }
summary { cursor: pointer; padding: .5rem 0; } summary span { color: var(--pale); }
code, pre { font: .88em/1.45 ui-monospace, monospace; } .path { font-weight: 600; }
pre { background: var(--soft); border-radius: .4rem; padding: .7rem; white-space: pre-wrap; }
.method { background: var(--accent); border-radius: .3rem; color: #fff; display: inline-block; min-width: 3.4rem; padding: 0 .4rem; }
.get { background: #15803d; } .patch { background: #b45309; } .method { text-align: center; font-size: .8em; font-weight: 600; }
table { border-collapse: collapse; width: 100%; } td, th { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; }
td, th { text-align: left; vertical-align: top; } td:first-child { white-space: nowrap; }
@media (max-width: 40rem) { td { display: block; } td + td { border: 0; padding-top: 0; } }
"""


def render(document: Json) -> str:
    """The whole page."""
    info = document["info"]
    about = "".join(f"<p>{_words(paragraph)}</p>" for paragraph in info["description"].split("\n\n"))
    sections = "".join(_section(document, tag["name"]) for tag in document["tags"])
    schemas = "".join(
        _fold(f'<code class="path">{escape(name)}</code>', _words(schema.get("description", "")) + _pre(schema), anchor=f"schema-{name}")
        for name, schema in document["components"]["schemas"].items()
    )
    bearer = _words(document["components"]["securitySchemes"]["bearer"]["description"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body><main><h1>{escape(info['title'])}</h1>"
        f'<p>Version {escape(info["version"])}, OpenAPI {escape(document["openapi"])}: <a href="openapi.json">openapi.json</a></p>{about}'
        f"<p>Bearer token (JWT). {bearer}</p>{sections}<h2>Schemas</h2>{schemas}</main></body></html>\n"
    )


def _section(document: Json, tag: str) -> str:
    operations = [
        _operation(document, method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    ]
    return f"<h2>{escape(tag.capitalize())}</h2>" + "".join(operations)


def _operation(document: Json, method: str, path: str, operation: Json) -> str:
    head = f'<span class="method {method}">{method.upper()}</span> <code class="path">{escape(path)}</code> '
    head += f"<span>{escape(operation['summary'])}</span>"
    parts = [f"<p>{_words(operation['description'])}</p>", _parameters([_target(document, each) for each in operation["parameters"]])]
    if "requestBody" in operation:
        parts.append("<h3>Body</h3>" + _content(document, operation["requestBody"]["content"]))
    parts.append("<h3>Try it</h3>" + _pre(_curl(method, path, operation)))
    parts.append("<h3>Answers</h3>")
    parts += [_response(document, status, response) for status, response in operation["responses"].items()]
    return _fold(head, "".join(parts), anchor=operation["operationId"])


def _parameters(parameters: Iterable[Json]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}{', required' if each.get('required') else ''}</td>"
        f"<td>{_words(each['description'])} {_limits(each['schema'])}</td></tr>"
        for each in parameters
    )
    return f"<h3>Parameters</h3><table>{rows}</table>"


def _limits(schema: Json) -> str:
    said = {name: value for name, value in schema.items() if name not in ("type", "items", "pattern")}
    said |= {name: value for name, value in schema.get("items", {}).items() if name == "enum"}
    return " ".join(f"<code>{escape(f'{name}: {_plain(value)}')}</code>" for name, value in said.items())


def _response(document: Json, status: str, reference: Json) -> str:
    response = _target(document, reference)
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{'always' if header['required'] else 'at times'}</td>"
        f"<td>{_words(header['description'])}</td></tr>"
        for name, header in ((name, _target(document, each)) for name, each in response["headers"].items())
    )
    inside = f"<h3>Headers</h3><table>{rows}</table>" + _content(document, response.get("content", {}))
    return _fold(f"<code>{status}</code> {_words(response['description'])}", inside)


def _content(document: Json, content: Json) -> str:
    return "".join(
        f"<p><code>{escape(media_type)}</code> {_named(each['schema'])}</p>" + _shown(document, each)
        for media_type, each in content.items()
    )


def _named(schema: Json) -> str:
    """Links to the schemas that are named, and the problem types that it is narrowed to."""
    options = [schema, *schema.get("anyOf", []), *schema.get("allOf", [])]
    names = [each["$ref"].rpartition("/")[2] for each in options if "$ref" in each]
    types = [each["properties"]["type"].get("enum", []) for each in options if "type" in each.get("properties", {})]
    links = " or ".join(f'<a href="#schema-{name}">{name}</a>' for name in names)
    return links + "".join(f" <code>{escape(name)}</code>" for each in types for name in each)


def _shown(document: Json, content: Json) -> str:
    shown = {name: _target(document, each)["value"] for name, each in content.get("examples", {}).items()}
    if "example" in content:
        shown["example"] = content["example"]
    return "".join(_fold(f"Example: <code>{escape(name)}</code>", _pre(value)) for name, value in shown.items())


def _curl(method: str, path: str, operation: Json) -> str:
    lines = [f'curl -X {method.upper()} "$API{path.replace("{", "$").replace("}", "")}"']
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    if body:
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(body)}'"]
    return " \\\n  ".join(lines)


def _target(document: Json, maybe: Json) -> Json:
    """What a reference names; anything else is itself."""
    if "$ref" not in maybe:
        return maybe
    found: Any = document
    for part in maybe["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def _fold(summary: str, inside: str, anchor: str = "") -> str:
    name = f' id="{escape(anchor)}"' if anchor else ""
    return f"<details{name}><summary>{summary}</summary>{inside}</details>"


def _pre(value: Any) -> str:
    return f"<pre>{escape(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _words(text: str) -> str:
    """Text with `code` in it."""
    pieces = escape(text, quote=False).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
