"""What the recorder counts: above all, what it did not record and why."""

from dataclasses import asdict, dataclass


@dataclass(kw_only=True, slots=True)
class Counters:
    """Totals since the start. Each is raised by one thread only, so none needs a lock."""

    streams: int = 0
    """Exchanges that a proxy began to report."""
    sampled_out: int = 0
    """Not recorded because sampling did not choose them."""
    recorded: int = 0
    """Handed to the writer."""
    dropped_streams: int = 0
    """Not recorded because too many were open."""
    dropped_memory: int = 0
    """Not recorded because the memory budget was used up."""
    dropped_queue: int = 0
    """Not recorded because the writer was too far behind."""
    dropped_protocol: int = 0
    """Not recorded because the proxy reports otherwise than agreed: its filter lacks ``observability_mode``, or it has
    another configuration than the collector, as for a moment when the settings change."""
    dropped_late: int = 0
    """Not recorded because the proxy gave up before anything of them was read: the recorder lags."""
    truncated: int = 0
    """Recorded without a part of their body or messages."""
    reset: int = 0
    """Recorded up to where the proxy broke off."""
    cut: int = 0
    """Recorded up to where the recorder stopped listening."""
    redactions: int = 0
    """Values that redaction replaced or dropped."""
    redaction_failures: int = 0
    """Not recorded because redacting them failed."""
    written: int = 0
    """In finished files."""
    lost: int = 0
    """Not recorded because the storage failed."""
    files: int = 0
    """Finished files."""

    def as_dict(self) -> dict[str, int]:
        """Return all totals by name."""
        return asdict(self)

    def as_prometheus(self) -> str:
        """Return all totals in Prometheus' text format."""
        lines: list[str] = []
        for name, value in self.as_dict().items():
            metric = f"traffic_recorder_{name}_total"
            lines += [f"# TYPE {metric} counter", f"{metric} {value}"]
        return "\n".join(lines) + "\n"
