"""A session with PostgreSQL, over libpq itself: what an attack is typed into. One thread uses a session at a time.

Errors are values here, because attacks are about them: run() gives the SQLSTATE and the message, and the rest of the script
goes on as at a prompt.
"""
import ctypes
import ctypes.util

LIBPQ = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
for name, result, arguments in (
        ("PQconnectdb", ctypes.c_void_p, [ctypes.c_char_p]), ("PQstatus", ctypes.c_int, [ctypes.c_void_p]),
        ("PQerrorMessage", ctypes.c_char_p, [ctypes.c_void_p]), ("PQfinish", None, [ctypes.c_void_p]),
        ("PQexec", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]), ("PQclear", None, [ctypes.c_void_p]),
        ("PQresultStatus", ctypes.c_int, [ctypes.c_void_p]),
        ("PQresultErrorField", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int]),
        ("PQntuples", ctypes.c_int, [ctypes.c_void_p]), ("PQnfields", ctypes.c_int, [ctypes.c_void_p]),
        ("PQgetvalue", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]),
        ("PQgetisnull", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int])):
    getattr(LIBPQ, name).restype = result
    getattr(LIBPQ, name).argtypes = arguments

SQLSTATE, MESSAGE, CONSTRAINT = ord("C"), ord("M"), ord("n")
FATAL_ERROR = 7


class Refused(Exception):
    """What PostgreSQL said no to: .sqlstate, .message (with the constraint's name in brackets, if there is one)."""

    def __init__(self, sqlstate, message):
        super().__init__("%s: %s" % (sqlstate, message))
        self.sqlstate, self.message = sqlstate, message


class Session:
    def __init__(self, url):
        self.pg = LIBPQ.PQconnectdb(url.encode())
        if LIBPQ.PQstatus(self.pg) != 0:
            raise Refused("08000", LIBPQ.PQerrorMessage(self.pg).decode())
        self.rows("SET client_min_messages = error")

    def close(self):
        LIBPQ.PQfinish(self.pg)
        self.pg = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def rows(self, statements):
        """The last one's rows, as text; Refused if one fails."""
        result = LIBPQ.PQexec(self.pg, statements.encode())
        try:
            if not result or LIBPQ.PQresultStatus(result) == FATAL_ERROR:
                def field(code):
                    return (LIBPQ.PQresultErrorField(result, code) or b"").decode()
                constraint = field(CONSTRAINT)
                raise Refused(field(SQLSTATE), field(MESSAGE) + (" [%s]" % constraint if constraint else ""))
            return [[None if LIBPQ.PQgetisnull(result, r, c) else LIBPQ.PQgetvalue(result, r, c).decode()
                     for c in range(LIBPQ.PQnfields(result))] for r in range(LIBPQ.PQntuples(result))]
        finally:
            LIBPQ.PQclear(result)

    def value(self, statement):
        return self.rows(statement)[0][0]

    def refusal(self, statement):
        """None, or what was said against it."""
        try:
            self.rows(statement)
        except Refused as refused:
            return refused
        return None
