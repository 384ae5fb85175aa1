"""The published description of the HTTP API: an OpenAPI 3.1 document made from the code, and a page that shows it."""
