"""Reader drivers, one folder each, behind the one interface in `interface.py`."""
