"""The append-only, hash-chained record of what accounts did and of what the hub deleted by schedule."""

from cloud.audit.head import read_head, signed_head
from cloud.audit.log import AuditError, AuditLog, BrokenChain, Detail, Head, LookRow, looks_at, verify_chain

__all__ = [
    "AuditError",
    "AuditLog",
    "BrokenChain",
    "Detail",
    "Head",
    "LookRow",
    "looks_at",
    "read_head",
    "signed_head",
    "verify_chain",
]
