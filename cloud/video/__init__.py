"""Live video: one copy of a stream from a gateway, however many pages watch it. Keeps nothing, decodes nothing."""
