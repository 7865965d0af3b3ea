"""A network that fails: a TCP proxy on 127.0.0.1 that cuts connections at random places, or swallows what they carry.

    with Proxy(port_behind) as proxy:
        proxy.cut_requests = 0.01    # of the pieces a client sends: half of one still arrives, then both ends are reset
        proxy.cut_answers = 0.01     # of the pieces of the other direction: the work is done, and nobody is told
        with proxy.hole():           # connections stay open and carry nothing; those that met the hole never recover
            ...
"""
import contextlib
import random
import selectors
import socket
import struct
import threading


def reset(s):
    with contextlib.suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()


class Proxy:
    def __init__(self, behind, seed=0):
        self.behind, self.chance = behind, random.Random(seed)
        self.cut_requests = self.cut_answers = 0.0
        self.cuts, self.dark, self.stopping = 0, False, False
        self.swallowed = set()  # connections that met the hole
        self.peers = {}  # socket: (the other one, True if this is a client's)
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        for s in list(self.peers):
            reset(s)
        self.listener.close()

    @contextlib.contextmanager
    def hole(self):
        self.dark = True
        try:
            yield
        finally:
            self.dark = False

    def _run(self):
        while not self.stopping:
            for key, _ in self.selector.select(0.05):
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj in self.peers:
                    self._carry(key.fileobj)

    def _accept(self):
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.behind), 5)
        except OSError:
            reset(client)
            return
        for mine, other, is_client in ((client, server, True), (server, client, False)):
            mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            mine.settimeout(30)
            self.peers[mine] = (other, is_client)
            self.selector.register(mine, selectors.EVENT_READ)

    def _end(self, s):
        other, _ = self.peers[s]
        for one in (s, other):
            self.selector.unregister(one)
            self.swallowed.discard(one)
            del self.peers[one]
            reset(one)

    def _carry(self, s):
        other, is_client = self.peers[s]
        try:
            data = s.recv(65536)
        except OSError:
            data = b""
        if data and (self.dark or s in self.swallowed):
            self.swallowed |= {s, other}
            return
        cut = self.chance.random() < (self.cut_requests if is_client else self.cut_answers)
        try:
            if data and not cut:
                other.sendall(data)
                return
            if data and is_client:
                other.sendall(data[:self.chance.randrange(len(data) + 1)])
        except OSError:
            pass
        self.cuts += cut
        self._end(s)
