"""Writes the documents that the routes serve, and what is made of infra/docs: `make declare`."""

import json
from typing import Any

from chalicelib.entrypoints.documents import ASYNCAPI, FOLDER, OPENAPI, PAGE, servers
from infra.console import say
from infra.documents.asyncapi.document import build as build_asyncapi
from infra.documents.diagrams import diagrams
from infra.documents.message_tables import list_messages
from infra.documents.openapi.document import build as build_openapi
from infra.documents.openapi.page import render


def files() -> dict[str, str]:
    """Each generated file in `chalicelib/static/` and what must stand in it: the same text for the same code."""
    openapi = build_openapi()
    return {OPENAPI: _text({**openapi, **servers("/")}), ASYNCAPI: _text(build_asyncapi()), PAGE: render(openapi)}


def main() -> None:
    """Write every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        say(f"written: {name}")
    diagrams()
    list_messages()


def _text(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)


if __name__ == "__main__":
    main()
