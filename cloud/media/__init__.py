"""Snapshots and clips that gateways send beside their events: checked, stored under their SHA-256, shown to who is
logged in."""
