"""The append-only, hash-chained record of what accounts did and of what the hub deleted by schedule."""

from cloud.audit.log import AuditError, AuditLog, BrokenChain, Detail, verify_chain

__all__ = ["AuditError", "AuditLog", "BrokenChain", "Detail", "verify_chain"]
