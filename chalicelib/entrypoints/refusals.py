"""Refusals that only HTTP knows: of a request's form and sender, and of a caller who waited for a saga that ended badly."""

from chalicelib.errors import Refusal


class NotJson(Refusal):
    """The body can't be parsed."""


class BadHeader(Refusal):
    """A header can't be understood."""


class MethodNotAllowed(Refusal):
    """The path doesn't have the request's method."""


class TooLarge(Refusal):
    """The body has too many bytes."""


class UnsupportedMediaType(Refusal):
    """The body is of another media type than JSON."""


class UnsupportedCoding(Refusal):
    """The body has a Content-Encoding."""


class Unauthorized(Refusal):
    """The request carries no token."""


class InvalidToken(Refusal):
    """The request's token counts for nothing."""


class RateLimited(Refusal):
    """The caller has made too many requests."""


class PaymentDeclined(Refusal):
    """The saga ended because the bank declined."""


class CustomerRejected(Refusal):
    """The saga ended because the customer was rejected."""


class RunnerRejected(Refusal):
    """The saga ended because the runner was rejected."""


class PartnerFailed(Refusal):
    """The saga ended, or is suspended, because a partner failed, refused or did not answer."""


class Cancelled(Refusal):
    """The saga ended because the order was cancelled."""


class Unexpected(Refusal):
    """A bug of ours: asking again brings the same."""


class ServiceUnavailable(Refusal):
    """Only for what a repeat may cure, as clients repeat such requests by themselves."""
