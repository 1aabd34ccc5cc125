"""What ingest counts, for `/metrics`, the demo's summary and the tests."""

from prometheus_client import CollectorRegistry, Counter


class IngestCounters:
    """Counters of all ingest workers of one process, on the registry passed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gatehouse_ingest_{name}", text, labels, registry=registry)

        self.messages = counter("messages", "Messages taken from the broker")
        self.stored = counter("events_stored", "Events stored for the first time")
        self.linked = counter("events_linked", "Events stored that were linked to a person")
        self.duplicates = counter("events_duplicate", "Events that were stored already")
        self.unknown_types = counter("events_unknown_type", "Events of a type this version does not know, stored raw")
        self.refused = counter("refused", "Messages and events refused and kept as dead letters", "reason")
        self.batches = counter("batches", "Transactions committed")
        self.outages = counter("database_outages", "Attempts to store a batch that the database did not take")
        self.late_acks = counter("late_acks", "Acknowledgements dropped because their connection had ended")
        self.receipts = counter("receipts", "Receipts published")
        self.presence = counter("presence", "Births and wills taken", "state")
        self.stale_presence = counter("presence_stale", "Births and wills of an older session, ignored")
        self.handler_errors = counter("handler_errors", "Exceptions of what answers gateways", "handler")
        self.handler_dropped = counter("handler_dropped", "Gateway messages dropped because their handler is too slow")
        self.connects = counter("connects", "Connections to the broker that were granted")
        self.subscription_refused = counter("subscription_refused", "Subscriptions that the broker refused")
        self.full_inbox = counter("inbox_full", "Times the connection had to wait for the database")
