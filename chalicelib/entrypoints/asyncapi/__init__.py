"""The published description of the messages on Kafka: an AsyncAPI 3.0 document made from the code.

Nothing here is imported before somebody asks for it, so that a cold start doesn't pay for it.
"""
