"""Words that only the inside of the service has: no text that leaves it may have one."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

FOREIGN = re.compile(
    r"Traceback|File \"|line \d+, in |\.py\b|chalicelib|campusg\.|SELECT |INSERT INTO |UPDATE "
    r"|[Pp]ython|[Pp]ydantic|[Ss][Qq][Ll][Aa]lchemy|(?<!\+)pg8000|psycopg|kafka\.|botocore|\bjwt\.|PyJW"
    # How Python writes values and types, and what the json module, codecs and pydantic say.
    r"|Decimal\(|UUID\(|datetime\.|<class|<\w+ object|\bNone\b|\bTrue\b|\bFalse\b|\bdict\b|\btuple\b|\bstr\b|\bint\b|NoneType"
    r"|Expecting |\(char \d+\)|Extra data|Invalid control character|codec can't|Input should|Value error|Field required|valid dictionary"
    # Classes of exceptions, ours included where they are not a dead letter's.
    r"|\b[A-Z][A-Za-z]*(Error|Exception|Warning)\b|NoBrokersAvailable",
)


def own_words(problem: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a problem that the service words itself; its other members repeat what was sent."""
    yield problem["title"]
    yield problem["detail"]
    for error in problem.get("errors", ()):
        yield error["detail"]
