"""Devices played for the tests: real bytes over real sockets, written from each maker's protocol."""
