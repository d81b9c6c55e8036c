"""A gRPC client whose identity and trust come from the Workload API that SPIFFE_ENDPOINT_SOCKET names. It calls a hundred times a
second, and says of each call what came of it.

usage: client.py ADDRESS SERVER_NAME
"""

import sys
import threading
import time

import grpc
from spiffe import X509Source

from identity import REQUEST, RESPONSE, SERVICE, Identity

LIMIT = 5  # seconds that a call may take
PAUSE = 0.01  # between two calls
PATIENCE = 0.2  # before a connection that failed is tried again


class Connection:
    """A channel with one certificate. gRPC takes no other into a channel, so that each rotation makes a new one."""

    def __init__(self, address: str, server: str, source: X509Source):
        identity = Identity(source)
        self.channel = grpc.secure_channel(
            address,
            grpc.ssl_channel_credentials(identity.roots, identity.key, identity.chain),
            # The server has to have this name in its certificate. gRPC's clients in Python can look at nothing but DNS names; the CA
            # gives this one to a single SPIFFE ID.
            [("grpc.ssl_target_name_override", server)],
        )
        self.call = self.channel.unary_unary(
            f"/{SERVICE}/WhoAmI", REQUEST.SerializeToString, RESPONSE.FromString
        )

    def who_am_i(self) -> str:
        return self.call(REQUEST(), timeout=LIMIT).value


class Client:
    """Calls over the newest connection that has proved good."""

    def __init__(self, address: str, server: str, source: X509Source):
        self.connect = lambda: Connection(address, server, source)
        self.rotated = threading.Event()
        source.subscribe_for_updates(self.rotated.set)
        self.connection = self.connect()
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self) -> None:
        """Opens a new connection whenever there is a new certificate. Until that has answered, the old one serves; it is closed
        once the calls that were under way on it are over."""
        while self.rotated.wait():
            self.rotated.clear()
            fresh = self.connect()
            try:
                fresh.who_am_i()
            except grpc.RpcError as error:
                fresh.channel.close()
                print(f"tried again soon: {error.details()}", flush=True)
                time.sleep(PATIENCE)
                self.rotated.set()
                continue
            old, self.connection = self.connection, fresh
            threading.Timer(LIMIT, old.channel.close).start()


def main(address: str, server: str) -> None:
    # Waits until there is an identity, and keeps it new from then on.
    with X509Source() as source:
        client = Client(address, server, source)
        while True:
            try:
                print(f"ok: {server} answers {client.connection.who_am_i()}", flush=True)
            except grpc.RpcError as error:
                print(f"FAILED: {error.code()}: {error.details()}", flush=True)
            time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
