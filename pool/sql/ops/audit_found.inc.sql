-- What a batch of the audit answers: how much was looked at, the key to go on behind, and a row for each invariant
-- that is broken in it: its number, how often, and the first of them. Without a breach those three are NULL.
SELECT (SELECT count(*) FROM batch) AS looked, (SELECT place FROM batch ORDER BY place DESC LIMIT 1)::text AS next,
       f.invariant, f.breaches, f.first
  FROM (SELECT 1) one
  LEFT JOIN (SELECT o.invariant, count(*) AS breaches, min(o.who) AS first FROM offender o GROUP BY o.invariant) f ON true
