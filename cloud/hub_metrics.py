"""What the hub's own parts count, as Prometheus reads it. Ingest, live list and pictures count for themselves."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cloud.broker import Broker, HubClient


class HubMetrics(Collector):
    """Reads the parts' counts when it is asked. `counts`: metric's name -> (help, what happened -> how often).

    A process that does not keep the broker leaves it out.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        broker: Broker | None,
        client: HubClient,
        counts: Mapping[str, tuple[str, Mapping[str, int]]],
    ) -> None:
        self._broker = broker
        self._client = client
        self._counts = counts
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """One family for each part, then the broker's gauges."""
        for name, (text, values) in self._counts.items():
            family = CounterMetricFamily(f"gatehouse_{name}", text, labels=["outcome"])
            for outcome, count in sorted(values.copy().items() if isinstance(values, dict) else values.items()):
                family.add_metric([str(outcome)], count)
            yield family
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        if self._broker is not None:
            status = self._broker.status()
            yield GaugeMetricFamily("gatehouse_broker_up", "The broker runs", value=float(status.state == "running"))
            yield GaugeMetricFamily(
                "gatehouse_broker_restarts", "How often it was started again", value=status.restarts
            )
            yield GaugeMetricFamily("gatehouse_gateways_admitted", "Gateways let into it", value=status.gateways)
        yield GaugeMetricFamily(
            "gatehouse_hub_connected", "The hub's own connection to it", value=float(self._client.is_connected)
        )
