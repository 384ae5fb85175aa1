"""The HTTP API on this machine: the Chalice project behind `chalice local`'s gateway, served by h11 and threads of our own.

`chalice local` serves it by `http.server`, and shows its clients what those of the deployed API never meet: 40 ms lost a request to
Nagle's algorithm, errors in HTML, 403 for a path that isn't there, misread lengths, connections that end without an answer. Run this by
`python -m infra.gateway`.
"""
