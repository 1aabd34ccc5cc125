"""The command line and the demo, nothing else; nothing imports this package."""
