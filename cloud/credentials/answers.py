"""Answers a gateway that asks for what follows its version: with the deltas that were kept, or with the head alone,
upon which it fetches the whole set. It needs no state but the database, so any process of the hub can answer."""

from collections import Counter

from cloud.credentials import sets
from cloud.credentials.distribution import Publish, Seal
from cloud.database.engine import Database
from protocols import topics
from protocols.commands import Ask


class CredentialAnswers:
    """The handler of `up/ask`."""

    def __init__(self, database: Database, seal: Seal, publish: Publish) -> None:
        self._database = database
        self._seal = seal
        self._publish = publish
        self.counts: Counter[str] = Counter()
        """chains, heads."""

    def on_ask(self, gateway: str, question: Ask) -> None:
        """Answer one question. Nothing is retained: only the distribution may move the retained head."""
        with self._database.read() as connection:
            newest = sets.head(connection, gateway)
            steps = sets.chain(connection, gateway, question.have, newest) if newest else []
        if newest is None:
            return
        if sum(map(len, steps)) > sets.APPROXIMATE_ROW_BYTES * newest.rows + sets.APPROXIMATE_HEAD_BYTES:
            steps = []
        for step in steps:
            self._send(topics.credential_delta(gateway), step)
        self._send(topics.credential_head(gateway), newest.model_dump_json())
        self.counts["chains" if steps else "heads"] += 1

    def _send(self, topic: str, text: str) -> None:
        self._publish(topic, self._seal(topic, text.encode()), False)
