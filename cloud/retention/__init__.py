"""Deletes by schedule what the hub may not keep any longer, and records how much in the audit."""

from cloud.retention.service import RetentionDays, RetentionService

__all__ = ["RetentionDays", "RetentionService"]
