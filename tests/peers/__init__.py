"""Devices for tests: they speak their real bytes over real sockets, and are written from their protocol."""
