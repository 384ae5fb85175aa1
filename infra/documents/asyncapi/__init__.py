"""The published description of the messages on Kafka: an AsyncAPI 3.0 document made from the code."""
