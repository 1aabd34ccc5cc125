"""Log-in by another authority of the operator's (OpenID Connect), beside passwords and never instead of the accounts.

It says who somebody is; what an account may do stands in the hub alone. No account makes itself.
"""
