"""trytond's application, with refused requests rolled back on SQLite.

trytond 8.2.1 looks for other processes' cache resets with `get_connection(autocommit=True,
readonly=True)`.  On SQLite that is the request's own connection: it stays in autocommit, and what the
request writes is kept though it is refused.  PostgreSQL has a connection of its own for it.  A look
that only reads needs no autocommit.
"""
from trytond.backend.sqlite.database import Database

_get_connection = Database.get_connection


def get_connection(self, autocommit=False, readonly=False, statement_timeout=None):
    return _get_connection(self, autocommit and not readonly, readonly, statement_timeout)


Database.get_connection = get_connection

from trytond.application import app  # noqa: E402, F401
