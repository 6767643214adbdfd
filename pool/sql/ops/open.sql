-- Whose data this is, and how far its schema is: what a command asks before it does anything.
SELECT g.region, (SELECT max(version) FROM pay.schema_migration) FROM pay.region g
