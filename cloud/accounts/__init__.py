"""Who may use the console: accounts, passwords, log-in with throttling, sessions. No account exists by default."""

from cloud.accounts.accounts import AccountError, Accounts, AccountSummary, BadLogin, Binding, LogIn
from cloud.accounts.enrolment import Enrolment, EnrolmentOver, EnrolmentWanted
from cloud.accounts.opening import open_accounts
from cloud.accounts.own import Enrolled, NotProven, Renewed, SessionOver
from cloud.accounts.passwords import Passwords, TooBusy, UnacceptablePassword
from cloud.accounts.permissions import PERMISSIONS, Permission
from cloud.accounts.scope import WHOLE, Recent, Scope
from cloud.accounts.second_factor import CodeWanted, SecondFactorMissing, WrongCode
from cloud.accounts.sessions import SessionLimits, Sessions, SessionSummary, SignedIn
from cloud.accounts.throttle import LoginThrottle, Throttled
from cloud.accounts.tokens import ApiTokens, TokenError

__all__ = [
    "PERMISSIONS",
    "WHOLE",
    "AccountError",
    "AccountSummary",
    "Accounts",
    "ApiTokens",
    "BadLogin",
    "Binding",
    "CodeWanted",
    "Enrolled",
    "Enrolment",
    "EnrolmentOver",
    "EnrolmentWanted",
    "LogIn",
    "LoginThrottle",
    "NotProven",
    "Passwords",
    "Permission",
    "Recent",
    "Renewed",
    "Scope",
    "SecondFactorMissing",
    "SessionLimits",
    "SessionOver",
    "SessionSummary",
    "Sessions",
    "SignedIn",
    "Throttled",
    "TokenError",
    "TooBusy",
    "UnacceptablePassword",
    "WrongCode",
    "open_accounts",
]
