"""A UHPPOTE board with one, two or four doors; a reader's channel is the door's number on it."""
