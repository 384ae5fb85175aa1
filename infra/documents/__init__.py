"""The published descriptions of the service, made from the code: OpenAPI, AsyncAPI and the page at /docs. `make declare` writes them."""
