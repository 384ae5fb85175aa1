"""What is said of a route of the HTTP API, as a value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.entrypoints import bodies
from chalicelib.errors import Refusal
from chalicelib.fields import Table

ANYONE = "anyone"
JSON = "application/json"
Errors = tuple[type[Refusal], ...]


@dataclass(frozen=True)
class Success:
    """A good answer: `tables` are what its body can be (none: no JSON), `examples` their names, `sure` the headers it always has, `maybe`
    those it can have: names in `parameters.HEADERS`."""

    says: str
    tables: tuple[Table, ...] = ()
    examples: tuple[str, ...] = ()
    sure: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    media_types: tuple[str, ...] = (JSON,)


@dataclass(frozen=True)
class Route:
    """One operation, `at` a method and path. `body` is what it takes, which `may_be_empty`.

    Besides those in its path it has `parameters`, by their names in `parameters.PARAMETERS`.
    """

    name: str
    at: str
    summary: str
    who: str
    success: Mapping[int, Success]
    errors: Errors = ()
    parameters: tuple[str, ...] = ()
    body: type[bodies.Body] | None = None
    example: Any = field(default_factory=dict)
    may_be_empty: bool = True

    @property
    def method(self) -> str:
        return self.at.split()[0]

    @property
    def path(self) -> str:
        return self.at.split()[1]

    @property
    def all_parameters(self) -> tuple[str, ...]:
        """Those in the path first."""
        return (*re.findall(r"{(\w+)}", self.path), *self.parameters)
