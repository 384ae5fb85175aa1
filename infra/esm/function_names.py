"""Names of Lambda functions in the forms that the Lambda API takes: a name, a partial or a whole ARN, each with or without a qualifier."""

import re
from typing import NamedTuple, Self

LOCAL_ACCOUNT = "000000000000"
LOCAL_REGION = "us-east-1"
LATEST = "$LATEST"

# The pattern of `FunctionName` in the Lambda API reference.
_FORM = re.compile(
    r"(?:(?P<prefix>arn:aws[a-zA-Z-]*):lambda:)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)


class FunctionName(NamedTuple):
    """A function: its name, the version or alias that is asked for (None: the unpublished version), and the ARN of both."""

    name: str
    qualifier: str | None
    arn: str

    @classmethod
    def read(cls, text: str) -> Self:
        """The function that a text names; what it leaves out is this machine's. Raises ValueError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no name or ARN of a function")
        prefix, region, account = found["prefix"] or "arn:aws", found["region"] or LOCAL_REGION, found["account"] or LOCAL_ACCOUNT
        arn = f"{prefix}:lambda:{region}:{account}:function:{found['name']}"
        return cls(found["name"], found["qualifier"], arn if found["qualifier"] is None else f"{arn}:{found['qualifier']}")

    @property
    def versioned_arn(self) -> str:
        """The ARN with a qualifier, `$LATEST` where none is asked for."""
        return self.arn if self.qualifier else f"{self.arn}:{LATEST}"

    @property
    def version(self) -> str:
        """The version; that of an alias is known to Lambda alone."""
        return self.qualifier if self.qualifier and self.qualifier.isdigit() else LATEST
