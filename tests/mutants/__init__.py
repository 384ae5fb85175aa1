"""Planted faults, and whether the tests notice them: `make mutants`, one by `make mutants ONLY=name`.

Each is a text of one file that is replaced by another (mutants.toml) in a copy of the project, where the tests that should notice it are
then run. A fault that none of them notices is a gap in the tests.
"""
