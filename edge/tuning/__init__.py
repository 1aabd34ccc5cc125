"""A person watches what the gateway makes of a camera's picture: on a page of this machine alone, or in a video."""
