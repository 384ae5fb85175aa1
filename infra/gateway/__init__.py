"""The HTTP API on this machine: the Chalice project behind `chalice local`'s own server, mended where API Gateway does better.

`chalice local` is built on `http.server`, and shows its clients what those of the deployed API never meet: 40 ms lost a request to
Nagle's algorithm, errors in HTML, 403 for a path that isn't there, misread lengths, connections that end without an answer. One
subclass each of its request handler, its gateway and its server puts that right. Run it by `python -m infra.gateway`.
"""
