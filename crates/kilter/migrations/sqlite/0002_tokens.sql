-- What a grant gave to each connection. Secrets: as the file, so are they protected.
CREATE TABLE tokens (
  connection TEXT PRIMARY KEY,
  access     TEXT NOT NULL,
  renew_at   INTEGER,
  ends_at    INTEGER,
  refresh    TEXT,
  seed       TEXT NOT NULL
) WITHOUT ROWID;
