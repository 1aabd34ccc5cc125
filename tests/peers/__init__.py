"""Devices that the tests connect to, written from their protocols."""
