"""Cameras: streams are read, people and vehicles followed, and what enters a zone told. Identifies nobody."""
