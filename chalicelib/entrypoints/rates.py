"""The request limit of a caller, where one is set.

Source: RFC 6585 section 4 (429), draft-ietf-httpapi-ratelimit-headers-11 (RateLimit and RateLimit-Policy).
"""

from chalicelib.entrypoints.refusals import RateLimited
from chalicelib.operations.rate import count_request
from chalicelib.runtime import runtime


def admit(caller: str | None) -> tuple[dict[str, str], RateLimited | None]:
    """Count a request of `caller`; return the headers that tell how much is left, and the refusal if it is too much.

    Nothing is counted without a caller or without a limit.
    """
    if not caller:
        return {}, None
    limit = runtime().settings.rate_limit_per_minute
    if not limit:
        return {}, None
    with runtime().database.transaction() as session:
        requests, seconds_left = count_request(session, caller)
    headers = {
        "RateLimit-Policy": f'"default";q={limit};w=60',
        "RateLimit": f'"default";r={max(limit - requests, 0)};t={seconds_left}',
    }
    if requests <= limit:
        return headers, None
    return headers, RateLimited(f"at most {limit} requests a minute; try again when the minute is over", retry_after=seconds_left)
