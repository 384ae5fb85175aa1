"""What a 401 says in `WWW-Authenticate` (RFC 6750, section 3): an error only where there was a token.

A request without a token, or with credentials of another scheme, may come from a client that didn't know it needs one.
"""

BEARER = "Bearer"
BEARER_REFUSED = 'Bearer error="invalid_token"'

# Where an authorizer that denies puts its challenge: a gateway response reads it as `context.authorizer.challenge`.
CHALLENGE = "challenge"
