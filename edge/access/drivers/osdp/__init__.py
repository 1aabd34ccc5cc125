"""OSDP readers through `libosdp`, which runs in a worker process for each bus (`worker.py`).

One process a bus, not one for all: a crash in the C library, a port that blocks or a restart costs the readers of that
bus alone, and its limit of 32 readers for a control panel is then the process's own.
"""
