-- Figures that fell and wait: whether any waits for the orders of a connection is asked each second.
CREATE INDEX objects_fell ON objects (connection) WHERE wait_kind = 'later' AND fell IS NOT NULL;
