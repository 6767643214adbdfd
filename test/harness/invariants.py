"""The ledger's invariants I1 to I10, true after whatever happened. Each query lists violations."""

# Money in and out of each wallet by the ledger, and the version it must have come to.
_LEDGER = """
    SELECT account, sum(amount) AS balance, count(*) AS entries, max(version) AS newest FROM (
        SELECT debit_account AS account, -amount AS amount, wallet_version AS version
          FROM pay.transfer WHERE debit_account > 0
        UNION ALL
        SELECT credit_account, amount, wallet_version
          FROM pay.transfer WHERE credit_account > 0) leg
     GROUP BY account"""

# The holds that count against a wallet's limits: not voided, with their business day there.
_COUNTED = """
    SELECT h.debit_account AS wallet_id, h.amount, (h.created_at AT TIME ZONE p.tz)::date AS day
      FROM pay.transfer h JOIN pay.wallet w ON w.wallet_id = h.debit_account
      JOIN pay.program p ON p.program_id = w.program_id
     WHERE h.kind = 'H' AND NOT EXISTS (
         SELECT 1 FROM pay.transfer v WHERE v.pending_id = h.txn_id AND v.kind = 'V')"""

INVARIANTS = {
    "I1 balance and version of a wallet are those of its ledger": f"""
        SELECT w.wallet_id, w.balance, l.balance, w.version, l.entries, l.newest
          FROM pay.wallet w LEFT JOIN ({_LEDGER}) l ON l.account = w.wallet_id
         WHERE w.balance <> coalesce(l.balance, 0) OR w.version <> coalesce(l.entries, 0)
            OR w.version <> coalesce(l.newest, 0)""",
    "I2 an approved hold has exactly one transfer, a declined one none": """
        SELECT s.txn_id, s.code, count(t.txn_id) FROM pay.simulation s
          LEFT JOIN pay.transfer t ON t.txn_id = s.txn_id AND t.kind = 'H'
         GROUP BY s.txn_id, s.code, s.effect
        HAVING count(t.txn_id) <> (CASE WHEN s.code = '00' AND s.effect = 'H' THEN 1 ELSE 0 END)""",
    "I3 no hold without a decision": """
        SELECT t.txn_id FROM pay.transfer t WHERE t.kind = 'H' AND NOT EXISTS (
            SELECT 1 FROM pay.simulation s WHERE s.txn_id = t.txn_id)""",
    "I4 one decision per client and key": """
        SELECT client_id, idem_hash, count(*) FROM pay.simulation WHERE idem_hash IS NOT NULL
         GROUP BY client_id, idem_hash HAVING count(*) > 1""",
    "I5 each ledger entry starts where the one before ended, without gaps": """
        SELECT account, wallet_version FROM (
            SELECT account, wallet_version, signed,
                   balance_after - coalesce(lag(balance_after) OVER history, 0) AS moved,
                   wallet_version - coalesce(lag(wallet_version) OVER history, 0) AS step
              FROM (SELECT greatest(debit_account, credit_account) AS account, wallet_version,
                           CASE WHEN debit_account > 0 THEN -amount ELSE amount END AS signed,
                           balance_after FROM pay.transfer) leg
            WINDOW history AS (PARTITION BY account ORDER BY wallet_version)) entry
         WHERE moved <> signed OR step <> 1""",
    "I6 decision and ledger tell the same story": """
        SELECT s.txn_id FROM pay.simulation s JOIN pay.transfer t USING (txn_id)
         WHERE s.amount <> t.amount OR s.wallet_id <> t.debit_account
            OR s.balance_after <> t.balance_after""",
    "I7 no negative balance": "SELECT wallet_id, balance FROM pay.wallet WHERE balance < 0",
    "I8 the limit counters are those of the ledger": f"""
        SELECT w.wallet_id, w.day, w.day_spent, w.day_count, w.month_spent, c.*
          FROM pay.wallet w CROSS JOIN LATERAL (
            SELECT coalesce(sum(h.amount) FILTER (WHERE h.day = w.day), 0) AS day_spent,
                   count(*) FILTER (WHERE h.day = w.day) AS day_count,
                   coalesce(sum(h.amount) FILTER (
                       WHERE date_trunc('month', h.day) = date_trunc('month', w.day)), 0)
                     AS month_spent
              FROM ({_COUNTED}) h WHERE h.wallet_id = w.wallet_id) c
         WHERE w.version > 1 AND (w.day_spent, w.day_count, w.month_spent)
               IS DISTINCT FROM (c.day_spent, c.day_count, c.month_spent)""",
    "I9 the sum over all accounts is zero": """
        SELECT wallets, others FROM
          (SELECT coalesce(sum(balance), 0) AS wallets FROM pay.wallet) w,
          (SELECT coalesce(sum(CASE WHEN debit_account < 0 THEN -amount ELSE amount END), 0)
                  AS others
             FROM pay.transfer WHERE least(debit_account, credit_account) < 0) o
         WHERE wallets + others <> 0""",
    "I10 a hold is resolved at most once, by its exact reverse": """
        SELECT v.pending_id FROM pay.transfer v
          LEFT JOIN pay.transfer h ON h.txn_id = v.pending_id AND h.kind = 'H'
         WHERE v.pending_id IS NOT NULL
         GROUP BY v.pending_id
        HAVING count(*) > 1 OR bool_or(h.txn_id IS NULL OR v.amount <> h.amount
            OR v.debit_account <> h.credit_account OR v.credit_account <> h.debit_account)""",
}


def violations(connection):
    """{invariant: first offending rows}, empty when all hold."""
    found = {}
    for name, query in INVARIANTS.items():
        rows = connection.execute(query).fetchmany(5)
        if rows:
            found[name] = rows
    return found


def assert_invariants(database):
    with database.connect() as connection:
        # Nothing else does it here, and plans made for an empty ledger take minutes on a full one.
        connection.execute("ANALYZE pay.wallet, pay.transfer, pay.simulation")
        assert violations(connection) == {}
