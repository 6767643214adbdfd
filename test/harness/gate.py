"""A TCP gate between service and database that can be made slow, frozen, broken or spied on.

Threads: one accepts, two pump for each link. A link is one connection through the gate.
"""

import socket
import struct
import threading

from harness.machine import free_port, seconds

READY_FOR_QUERY = b"Z\x00\x00\x00\x05"


class Link:
    def __init__(self, gate, client, server):
        self.gate = gate
        self.client = client
        self.server = server
        self.lock = threading.Lock()  # held while bytes go to the server
        self.idle = threading.Event()  # the server's last word was ReadyForQuery
        self.swallowing = False  # the server's next answer is for the gate, not for the client
        self.swallowed = threading.Event()
        self.pending = b""
        for pump in (self._to_server, self._to_client):
            threading.Thread(target=pump, daemon=True).start()

    def inject(self, sql):
        self.swallowing = False  # the server's next answer is the gate's, not the client's
        text = sql.encode() + b"\0"
        with self.lock:
            assert self.idle.is_set(), "the link is in use"
            self.swallowed.clear()
            self.swallowing = True
            self.server.sendall(b"Q" + struct.pack(">I", len(text) + 4) + text)
            assert self.swallowed.wait(seconds(5)), "the injected statement was not answered"

    def reset(self):
        """Both ends see RST."""
        for end in (self.client, self.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        self.gate.forget(self)

    def _to_server(self):
        try:
            while data := self.client.recv(65536):
                if not self.gate.let_pass(self, "to_server"):
                    break
                with self.lock:
                    self.idle.clear()
                    self.server.sendall(data)
        except OSError:
            pass
        self.close()

    def _to_client(self):
        try:
            while data := self.server.recv(65536):
                data = self._without_swallowed(data)
                if not data:
                    continue
                if not self.gate.let_pass(self, "to_client"):
                    break
                if data[-6:-1] == READY_FOR_QUERY:
                    self.idle.set()
                self.client.sendall(data)
        except OSError:
            pass
        self.close()

    def _without_swallowed(self, data):
        if not self.swallowing:
            return data
        self.pending += data
        end = self.pending.find(READY_FOR_QUERY)
        if end == -1 or len(self.pending) < end + 6:
            return b""
        rest, self.pending = self.pending[end + 6 :], b""
        self.swallowing = False
        self.swallowed.set()
        return rest


class Gate:
    """Passes everything at start; delay(), freeze(), close_on_data(), refuse(), reset() hurt."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.port = free_port()
        self.links = []
        self.links_lock = threading.Lock()
        self.open = threading.Event()
        self.ended = threading.Event()
        self.delay_s = {"to_server": 0.0, "to_client": 0.0}
        self.close_direction = None
        self.refusing = False
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.open.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in self.all_links():
            link.close()

    def pass_all(self):
        self.delay_s = {"to_server": 0.0, "to_client": 0.0}
        self.close_direction = None
        self.refusing = False
        self.open.set()

    def delay(self, delay_s, direction="to_client"):
        self.delay_s[direction] = delay_s

    def freeze(self):
        """Bytes are taken and kept, in both directions, and nothing is closed: a dead network."""
        self.open.clear()

    def close_on_data(self, direction="to_client"):
        """The next bytes in this direction are dropped and their link is reset."""
        self.close_direction = direction

    def refuse(self):
        """New connections are accepted and closed at once."""
        self.refusing = True

    def reset(self):
        for link in self.all_links():
            link.reset()

    def idle_links(self):
        return [link for link in self.all_links() if link.idle.is_set()]

    def all_links(self):
        with self.links_lock:
            return list(self.links)

    def forget(self, link):
        with self.links_lock:
            if link in self.links:
                self.links.remove(link)

    def let_pass(self, link, direction):
        """Waits as long as the gate says; False when the bytes must not pass."""
        if self.delay_s[direction]:
            self.ended.wait(self.delay_s[direction])
        self.open.wait()
        if self.close_direction == direction:
            self.close_direction = None
            link.reset()
            return False
        return not self.ended.is_set()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.links_lock:
                self.links.append(Link(self, client, server))
