"""What the vault seals of matters."""

REPORTER = "matter.reporter"
"""Who reported it: name and phone number."""
