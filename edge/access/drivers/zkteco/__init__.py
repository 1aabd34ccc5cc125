"""A ZKTeco controller or terminal that pushes to the gateway; a reader's channel is the door's number."""
