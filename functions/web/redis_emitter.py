"""The emitter for a bus that is a channel of Redis or Valkey."""

import socket
import ssl

from functions.contract.bus import CHANNEL
from functions.contract.redis_address import Address
from functions.web.emit import EmitError, Emitter

_SECONDS = 2.0  # to connect, and for each answer

_LONGEST_ANSWER = 1_000  # bytes


class RedisEmitter(Emitter):
    """Publishes on a connection that it keeps open."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: socket.socket | None = None

    def _publish(self, message: str, sender: str) -> None:
        try:
            if self._connection is not None:
                try:
                    self._command(self._connection, "PUBLISH", CHANNEL, message)
                    return
                except OSError:  # it was closed; resending is safe, because hosts drop duplicates
                    self.close()
            self._connection = self._connect()
            self._command(self._connection, "PUBLISH", CHANNEL, message)
        except OSError as error:
            self.close()
            raise EmitError(f"Redis at {self._address} cannot be reached ({error})") from error

    def close(self) -> None:
        """Close the connection; the next message opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> socket.socket:
        address = self._address
        connection = socket.create_connection((address.host, address.port), _SECONDS)
        try:
            if address.tls:
                context = ssl.create_default_context()
                connection = context.wrap_socket(connection, server_hostname=address.host)
            if address.password is not None:
                self._command(connection, "AUTH", address.username, address.password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _command(self, connection: socket.socket, *words: str) -> None:
        """Send a command; raise OSError if there is no reply, and EmitError if it is refused."""
        encoded = [word.encode() for word in words]
        parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
        connection.sendall(b"*%d\r\n%b" % (len(parts), b"".join(parts)))
        answer = b""
        while not answer.endswith(b"\r\n"):
            received = connection.recv(_LONGEST_ANSWER)
            if not received or len(answer) > _LONGEST_ANSWER:
                raise ConnectionError("it closed the connection")
            answer += received
        if answer.startswith(b"-"):
            reason = answer[1:].decode(errors="replace").strip()
            raise EmitError(f"Redis at {self._address} refused the message ({reason})")
