"""Rules: what of the stored events, and of what does not happen, becomes an alarm. They are data; see `definition`."""
