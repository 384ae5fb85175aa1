"""An emulator of AWS Lambda's event source mapping for Apache Kafka: it polls a topic and calls a Python handler with Lambda's event.

It stands by itself: nothing in here knows the application whose handlers it calls.
"""
