"""An ONVIF camera or intercom with relays and digital inputs; it has one reader, of channel 1."""
