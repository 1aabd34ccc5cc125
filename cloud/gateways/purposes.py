"""What the vault seals each secret of a gateway for."""

MESSAGE_KEY = "gateway.message_key"
CARD_KEY = "gateway.card_key"
BROKER_PASSWORD = "gateway.broker_password"  # noqa: S105 (a purpose's name, no password)
CODE_SECRET = "enrolment_code.secret"  # noqa: S105 (as above)
