"""Keeping video: a ring of compressed packets, clips of events, continuous recording, retention, upload.

Nothing is decoded or encoded here, and no camera and no door ever waits for the disk.
"""
