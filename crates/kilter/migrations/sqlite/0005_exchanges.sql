-- Each request that left and what came back, bounded in days and in rows. Nothing depends on it.
CREATE TABLE exchanges (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         TEXT NOT NULL,
  connection TEXT NOT NULL,
  resource   TEXT NOT NULL,
  method     TEXT NOT NULL,
  path       TEXT NOT NULL,
  status     INTEGER NOT NULL,              -- 0: no answer came
  ms         INTEGER NOT NULL,
  bytes_out  INTEGER NOT NULL,
  bytes_in   INTEGER NOT NULL,
  request    TEXT NOT NULL,                 -- what the remote calls it
  failure    TEXT NOT NULL                  -- empty: it went well
);
