"""What crosses a wire, and nothing else: bytes or text in, typed values out.

Sans-io: no socket, thread, clock or database is used here, and neither `edge` nor `cloud` is imported. Time, randomness
and asymmetric signatures are passed in. `docs/contract.md` describes the messages; `docs/asyncapi.json` is generated
from these models.
"""
