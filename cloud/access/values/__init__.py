"""What doors are managed with, as the API, the command line and the services name it: a file for each subject.

No value holds a secret that was stored: PINs go in, and only one-time codes and QR codes come out, once.
"""
