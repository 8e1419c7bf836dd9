"""How long to wait for the answers of other hosts, and which are not waited for."""

# A host that takes so many times longer than answers did lately, and says nothing else meanwhile,
# is a suspect: it is not waited for until it is heard again. Never less than the seconds: it may
# have a lot to do.
_TIMES = 4
_LEAST_SECONDS = 0.5


class AnswerTimes:
    """Knows how long answers took lately, and when each host was heard last."""

    def __init__(self, seconds: float) -> None:
        """Begin with `seconds`."""
        self.suspects: set[str] = set()
        self._heard_at: dict[str, float] = {}
        self._slowest = seconds / _TIMES  # answer lately

    @property
    def seconds(self) -> float:
        """How long to wait for an answer."""
        return max(_LEAST_SECONDS, _TIMES * self._slowest)

    def answered(self, seconds: float) -> None:
        """Note how long an answer took."""
        self._slowest = max(seconds, 0.9 * self._slowest)

    def heard(self, host: str, at: float | None) -> None:
        """Note that a host lives, and when it said so if it is a peer."""
        self.suspects.discard(host)
        if at is not None:
            self._heard_at[host] = at

    def doubt(self, host: str, since: float) -> bool:
        """Suspect a host that has said nothing since then; tell if that is so."""
        silent = self._heard_at.get(host, 0.0) < since
        if silent:
            self.suspects.add(host)
        return silent

    def forget(self, host: str) -> None:
        """Forget a host that is gone."""
        self.suspects.discard(host)
        self._heard_at.pop(host, None)
