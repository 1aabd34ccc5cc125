"""The gateway: doors, cameras, outbox and uplink. Holds no names and no categories; never imports `cloud`."""
