"""Brings the package to AWS, or to an emulator of it on this machine: `make deploy` and `make undeploy`."""
