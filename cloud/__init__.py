"""The hub: ingest, register, linking, gateways, console. Never imports `edge` or `models`."""
