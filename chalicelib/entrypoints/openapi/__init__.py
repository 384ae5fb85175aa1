"""The published description of the HTTP API: an OpenAPI 3.1 document made from the code, and a page that shows it.

Nothing here is imported before somebody asks for either, so that a cold start doesn't pay for it.
"""
