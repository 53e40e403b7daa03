"""A connection that is over leaves nothing behind, without help of the garbage collector."""

from __future__ import annotations

import gc
import weakref

from openautoglm.config.serving import Limits
from openautoglm.serving.http.connection import Connection


class Server:
    """As much of a server as a connection needs that never asks it anything."""

    def __init__(self):
        self.limits = Limits()
        self.draining = False
        self.held = 0

    def hold(self, size):
        self.held += size
        return True

    def admit(self, connection):
        return True

    def forget(self, connection):
        pass


def test_half_a_body_of_a_client_that_hung_up_is_let_go():
    gc.disable()
    try:
        server = Server()
        connection = Connection(server)
        connection.connection_made(None)
        connection.data_received(b"POST /v1/predict HTTP/1.1\r\nContent-Length: 900\r\n\r\n{")
        assert server.held == 1
        gone = weakref.ref(connection)
        connection.connection_lost(None)
        del connection
        assert server.held == 0
        assert gone() is None
    finally:
        gc.enable()
