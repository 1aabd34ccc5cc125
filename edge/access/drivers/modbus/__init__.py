"""A barrier, a lift or an I/O block over Modbus TCP; it has one reader, of channel 1."""
