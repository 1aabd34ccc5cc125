"""The hub's database: its tables, their migrations and the engine (SQLite by default, PostgreSQL by URL)."""
