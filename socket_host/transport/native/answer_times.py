"""How long to wait for other hosts' answers, and which hosts are not worth waiting for."""

# A host that takes `_TIMES` as long as recent answers took, and sends nothing else either, is a
# suspect: nobody waits for it until it sends something. The wait is never shorter than
# `_LEAST_SECONDS`, since a busy host is slow.
_TIMES = 4
_LEAST_SECONDS = 0.5


class AnswerTimes:
    """Tracks how long recent answers took, and when each host was last alive."""

    def __init__(self, seconds: float) -> None:
        """Wait `seconds` at first."""
        self.suspects: set[str] = set()
        self._alive_at: dict[str, float] = {}
        self._slowest = seconds / _TIMES  # of recent answers

    @property
    def seconds(self) -> float:
        """How long to wait for an answer."""
        return max(_LEAST_SECONDS, _TIMES * self._slowest)

    def answered(self, seconds: float) -> None:
        """Note how long an answer took."""
        self._slowest = max(seconds, 0.9 * self._slowest)

    def note_alive(self, host: str, at: float | None) -> None:
        """Note that a host is alive; `at` is the loop time, or None if the host is not a peer."""
        self.suspects.discard(host)
        if at is not None:
            self._alive_at[host] = at

    def suspect_if_silent(self, host: str, since: float) -> bool:
        """Suspect a host if it has been silent since a loop time; return whether it has."""
        silent = self._alive_at.get(host, 0.0) < since
        if silent:
            self.suspects.add(host)
        return silent

    def forget(self, host: str) -> None:
        """Forget a host that has stopped."""
        self.suspects.discard(host)
        self._alive_at.pop(host, None)
