"""Who may use the console: accounts, passwords, log-in with throttling, sessions. No account exists by default."""

from cloud.accounts.accounts import AccountError, Accounts, AccountSummary, BadLogin, LogIn
from cloud.accounts.opening import open_accounts
from cloud.accounts.passwords import Passwords, TooBusy, UnacceptablePassword
from cloud.accounts.sessions import SessionLimits, Sessions, SignedIn
from cloud.accounts.throttle import LoginThrottle, Throttled

__all__ = [
    "AccountError",
    "AccountSummary",
    "Accounts",
    "BadLogin",
    "LogIn",
    "LoginThrottle",
    "Passwords",
    "SessionLimits",
    "Sessions",
    "SignedIn",
    "Throttled",
    "TooBusy",
    "UnacceptablePassword",
    "open_accounts",
]
