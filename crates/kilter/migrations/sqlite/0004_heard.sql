-- How many webhooks came from a connection in each hour since 1970: what is usual, and so what silence is.
CREATE TABLE heard (
  connection TEXT NOT NULL,
  hour       INTEGER NOT NULL,
  n          INTEGER NOT NULL,
  PRIMARY KEY (connection, hour)
) WITHOUT ROWID;
