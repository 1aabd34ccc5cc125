"""The demo: the real hub and the real gateway as child processes, fed by a real RTSP server and real OSDP bytes.

What is made up is the register, the people who pass and the moments at which they do; nothing else is.
"""
