"""Matters: what residents, grid members and windows report. A matter is an alarm whose source is `matter`; here is what
it has beyond one, and how it enters. It is handled, passed up, shelved and closed at the alarms' desk."""
