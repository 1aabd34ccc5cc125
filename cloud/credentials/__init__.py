"""What each gateway decides with: compiled from the register, numbered, signed and sent as it changes."""
