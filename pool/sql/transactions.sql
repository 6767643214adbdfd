-- One client's ledger rows of one wallet, newest first: a page by key, on the index that keeps versions gapless.
-- $1 wallet int8 $2 client int4 $3 before version int8, or $4 before txn uuid (nil: $3 counts) $5 limit int4 $6 region
-- text. Rows: known int4 (0: the wallet is unknown, or another region's) floor int8 (NULL: $4 is no transaction of this
-- client there), and one ledger row (txn_id kind hold amount balance_after version created_at), at most one more than
-- the limit. One row at least, with NULLs for the ledger's; no row where the database is another region's.
-- A wallet has many clients: a page looks at 500 versions at most, down to its floor. Where it has fewer rows than the
-- limit the next page begins at the floor, as long as that is above 1.
WITH page AS MATERIALIZED (
  SELECT w.wallet_id, b.version AS top, CASE WHEN b.version > 501 THEN b.version - 500
                                             WHEN b.version IS NOT NULL THEN 1 END::int8 AS floor
    FROM pay.wallet w JOIN pay.program p ON p.program_id = w.program_id
   CROSS JOIN LATERAL (
     SELECT CASE WHEN $4::uuid = '00000000-0000-0000-0000-000000000000' THEN least($3::int8, w.version + 1)
                 ELSE (SELECT t.wallet_version FROM pay.transfer t
                        WHERE t.txn_id = $4
                          AND (CASE WHEN t.debit_account > 0 THEN t.debit_account ELSE t.credit_account END)
                              = w.wallet_id
                          AND (SELECT s.client_id FROM pay.simulation s
                                WHERE s.txn_id = coalesce(t.hold_id, t.pending_id, t.txn_id)) = $2) END AS version OFFSET 0) b
   WHERE w.wallet_id = $1 AND p.region = $6 AND {{region}} = $6
), entry AS MATERIALIZED (
  SELECT e.* FROM page g CROSS JOIN LATERAL (
    SELECT t.txn_id, t.kind, coalesce(t.hold_id, t.pending_id, t.txn_id) AS hold_id, t.amount, t.balance_after,
           t.wallet_version, t.created_at
      FROM pay.transfer t
     WHERE (CASE WHEN t.debit_account > 0 THEN t.debit_account ELSE t.credit_account END) = g.wallet_id
       AND t.wallet_version < g.top AND t.wallet_version >= g.floor
       AND (SELECT s.client_id FROM pay.simulation s
             WHERE s.txn_id = coalesce(t.hold_id, t.pending_id, t.txn_id)) = $2
     ORDER BY t.wallet_version DESC LIMIT $5::int4 + 1) e
)
SELECT (g.wallet_id IS NOT NULL)::int4 AS known, g.floor, e.txn_id, e.kind::text, e.hold_id, e.amount, e.balance_after,
       e.wallet_version, e.created_at
  FROM (SELECT 1 AS one) r LEFT JOIN page g ON true LEFT JOIN entry e ON true
 WHERE {{region}} = $6
 ORDER BY e.wallet_version DESC
