"""A made-up device for the demo and for tests, told what to do over a local socket."""
