"""Makes a believable, made-up register with the structure that Anshun has. No one in it is a real person."""
