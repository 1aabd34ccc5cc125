"""What is told of a person beyond the mask: a name, a phone number, where he went. Each time for a stated purpose.

It is written into the audit before it is told, under the person too, so that he can be told who looked.
"""

from cloud.disclosure.api import disclosure_router
from cloud.disclosure.histories import DAILY_HISTORIES, Histories

__all__ = ["DAILY_HISTORIES", "Histories", "disclosure_router"]
