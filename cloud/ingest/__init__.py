"""Takes gateways' messages from the broker, stores them exactly once, and tells the gateways what is stored."""
