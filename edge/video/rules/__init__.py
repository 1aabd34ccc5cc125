"""Rules: what a site wants to be told of what its cameras see. Values in, event data out; no picture, no thread."""
