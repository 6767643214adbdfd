-- Whose data this database holds, read once for each statement. Every statement compares it with the region
-- that asks, and where they differ it reads and writes nothing and has no row at all. Where they are equal
-- it has at least one, so that no row tells the wrong database.
(SELECT g.region FROM pay.region g)
