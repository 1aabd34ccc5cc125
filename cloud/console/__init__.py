"""The console: its border (headers, limits), its guard (sessions, CSRF), its pages, and the REST interface below."""
