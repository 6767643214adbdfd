"""The ledger's invariants I1 to I11, true after whatever happened. Each query lists violations."""

# Money in and out of each wallet by the ledger, and the version it must have come to. A capture
# turns reserved money into captured money: it takes a version and moves no balance.
_LEDGER = """
    SELECT account, sum(amount) AS balance, count(*) AS entries, max(version) AS newest FROM (
        SELECT debit_account AS account, CASE WHEN kind = 'C' THEN 0 ELSE -amount END AS amount,
               wallet_version AS version
          FROM pay.transfer WHERE debit_account > 0
        UNION ALL
        SELECT credit_account, amount, wallet_version
          FROM pay.transfer WHERE credit_account > 0) leg
     GROUP BY account"""

# Every row of every hold, with the hold's id and the wallet's business day. A void of the version
# without hold_id gave back to the day of its hold.
_ROW = """
    SELECT greatest(t.debit_account, t.credit_account) AS wallet_id, t.txn_id, t.kind, t.amount,
           t.wallet_version, t.balance_after, t.hold_id,
           coalesce(t.hold_id, t.pending_id, t.txn_id) AS hold,
           (t.created_at AT TIME ZONE p.tz)::date AS made,
           (coalesce(h.created_at, t.created_at) AT TIME ZONE p.tz)::date AS day
      FROM pay.transfer t
      JOIN pay.wallet w ON w.wallet_id = greatest(t.debit_account, t.credit_account)
      JOIN pay.program p ON p.program_id = w.program_id
      LEFT JOIN pay.transfer h ON h.txn_id = t.pending_id AND t.hold_id IS NULL
     WHERE t.kind <> 'F'"""

# What a hold has come to with each of its rows.
_SUM = f"""
    SELECT r.*, sum(amount) FILTER (WHERE kind IN ('H', 'I', 'O')) OVER life AS authorised,
           coalesce(sum(amount) FILTER (WHERE kind = 'C') OVER life, 0) AS captured,
           coalesce(sum(amount) FILTER (WHERE kind = 'V') OVER life, 0) AS released,
           coalesce(sum(amount) FILTER (WHERE kind = 'X') OVER life, 0) AS expired,
           coalesce(sum(amount) FILTER (WHERE kind = 'R') OVER life, 0) AS refunded,
           lead(kind) OVER life AS next_kind, lead(wallet_version) OVER life AS next_version,
           row_number() OVER life AS place
      FROM ({_ROW}) r WINDOW life AS (PARTITION BY hold ORDER BY wallet_version)"""

# How each row changed the limit counters of its day and month. What a hold gives back is never more
# than it has taken there.
_COUNTED = f"""
    SELECT r.*,
           taken - (least(day_given, day_taken) - least(day_given - given, day_taken)) AS by_day,
           taken - (least(month_given, month_taken) - least(month_given - given, month_taken))
             AS by_month,
           CASE WHEN kind IN ('H', 'I') THEN 1
                WHEN given > 0 AND captured = 0 AND authorised = released + expired AND day = born
                THEN -1 ELSE 0 END AS by_count
      FROM (
        SELECT s.*, sum(taken) OVER same_day AS day_taken, sum(given) OVER same_day AS day_given,
               sum(taken) OVER same_month AS month_taken, sum(given) OVER same_month AS month_given,
               first_value(day) OVER (PARTITION BY hold ORDER BY wallet_version) AS born
          FROM (SELECT *, CASE WHEN kind IN ('H', 'I', 'O') THEN amount ELSE 0 END AS taken,
                       CASE WHEN kind IN ('V', 'X') THEN amount ELSE 0 END AS given
                  FROM ({_SUM}) s) s
        WINDOW same_day AS (PARTITION BY hold, day ORDER BY wallet_version),
               same_month AS (PARTITION BY hold, date_trunc('month', day)
                              ORDER BY wallet_version)) r"""

# Days only move forward: where a row is dated before the one it follows (a clock set back, a
# statement that began before midnight), it was counted on the later day, which no row tells.
_BACK_IN_TIME = f"""
    SELECT wallet_id FROM (
        SELECT wallet_id, made,
               lag(made) OVER (PARTITION BY wallet_id ORDER BY wallet_version) AS last
          FROM ({_ROW}) r) r
     WHERE made < last"""

INVARIANTS = {
    "I1 balance and version of a wallet are those of its ledger": f"""
        SELECT w.wallet_id, w.balance, l.balance, w.version, l.entries, l.newest
          FROM pay.wallet w LEFT JOIN ({_LEDGER}) l ON l.account = w.wallet_id
         WHERE w.balance <> coalesce(l.balance, 0) OR w.version <> coalesce(l.entries, 0)
            OR w.version <> coalesce(l.newest, 0)""",
    "I2 an approved decision has exactly one transfer of its kind, a declined one none": """
        SELECT s.txn_id, s.effect, s.code, count(t.txn_id) FROM pay.simulation s
          LEFT JOIN pay.transfer t ON t.txn_id = s.txn_id AND t.kind = s.effect
         GROUP BY s.txn_id, s.code, s.effect
        HAVING count(t.txn_id) <> (s.code = '00' AND s.effect <> 'E')::int""",
    "I3 no ledger row without a decision, but what a capture brings along, and expiries": """
        SELECT t.txn_id, t.kind FROM pay.transfer t
         WHERE t.kind NOT IN ('F', 'X') AND NOT (t.kind = 'V' AND t.hold_id IS NULL)
           AND NOT EXISTS (SELECT 1 FROM pay.simulation s WHERE s.txn_id = t.txn_id)
           AND NOT (t.kind IN ('O', 'V') AND EXISTS (
               SELECT 1 FROM pay.transfer c WHERE c.hold_id = t.hold_id AND c.kind = 'C'
                  AND c.wallet_version = t.wallet_version
                                         + (CASE WHEN t.kind = 'O' THEN 1 ELSE -1 END)))""",
    "I4 one decision per client and key": """
        SELECT client_id, idem_hash, count(*) FROM pay.simulation WHERE idem_hash IS NOT NULL
         GROUP BY client_id, idem_hash HAVING count(*) > 1""",
    "I5 each ledger entry starts where the one before ended, without gaps": """
        SELECT account, wallet_version FROM (
            SELECT account, wallet_version, signed,
                   balance_after - coalesce(lag(balance_after) OVER history, 0) AS moved,
                   wallet_version - coalesce(lag(wallet_version) OVER history, 0) AS step
              FROM (SELECT greatest(debit_account, credit_account) AS account, wallet_version,
                           CASE WHEN kind = 'C' THEN 0
                                WHEN debit_account > 0 THEN -amount ELSE amount END AS signed,
                           balance_after FROM pay.transfer) leg
            WINDOW history AS (PARTITION BY account ORDER BY wallet_version)) entry
         WHERE moved <> signed OR step <> 1""",
    # A capture's record has the balance after what it released, too, which is a row of its own.
    "I6 decision and ledger tell the same story": """
        SELECT s.txn_id FROM pay.simulation s JOIN pay.transfer t USING (txn_id)
         WHERE s.amount <> t.amount OR s.wallet_id <> greatest(t.debit_account, t.credit_account)
            OR s.effect <> t.kind OR s.hold_id IS DISTINCT FROM t.hold_id
            OR s.balance_after <> coalesce((
                SELECT v.balance_after FROM pay.transfer v
                 WHERE t.kind = 'C' AND v.kind = 'V' AND v.hold_id = t.hold_id
                   AND v.wallet_version = t.wallet_version + 1
                   AND NOT EXISTS (SELECT 1 FROM pay.simulation o WHERE o.txn_id = v.txn_id)),
                t.balance_after)""",
    "I7 no negative balance": "SELECT wallet_id, balance FROM pay.wallet WHERE balance < 0",
    "I8 the limit counters are those of the ledger": f"""
        SELECT w.wallet_id, w.day, w.day_spent, w.day_count, w.month_spent, c.day_spent,
               c.day_count, c.month_spent
          FROM pay.wallet w LEFT JOIN (
            SELECT w.wallet_id,
                   coalesce(sum(c.by_day) FILTER (WHERE c.day = w.day), 0) AS day_spent,
                   coalesce(sum(c.by_count) FILTER (WHERE c.day = w.day), 0) AS day_count,
                   coalesce(sum(c.by_month), 0) AS month_spent
              FROM pay.wallet w JOIN ({_COUNTED}) c ON c.wallet_id = w.wallet_id
               AND date_trunc('month', c.day::timestamp) = date_trunc('month', w.day::timestamp)
             GROUP BY w.wallet_id) c ON c.wallet_id = w.wallet_id
         WHERE w.version > 1 AND w.wallet_id NOT IN ({_BACK_IN_TIME})
           AND (w.day_spent, w.day_count, w.month_spent) IS DISTINCT FROM
               (coalesce(c.day_spent, 0), coalesce(c.day_count, 0), coalesce(c.month_spent, 0))""",
    "I9 the sum over all accounts is zero": """
        SELECT wallets, others FROM
          (SELECT coalesce(sum(balance), 0) AS wallets FROM pay.wallet) w,
          (SELECT coalesce(sum(CASE WHEN debit_account < 0 THEN -amount ELSE amount END), 0)
                  AS others
             FROM pay.transfer
            WHERE least(debit_account, credit_account) < 0 AND kind <> 'C') o
         WHERE wallets + others <> 0""",
    "I10 a step belongs to one hold, and only its first row says that the hold is resolved": f"""
        SELECT t.txn_id FROM pay.transfer t JOIN ({_SUM}) s USING (txn_id)
          LEFT JOIN pay.transfer h ON h.txn_id = s.hold AND h.kind = 'H'
         WHERE t.kind <> 'H' AND (h.txn_id IS NULL OR t.pending_id <> h.txn_id
            OR (t.pending_id IS NOT NULL) <> (s.place = 2)
            OR least(t.debit_account, t.credit_account) <> h.credit_account
            OR greatest(t.debit_account, t.credit_account) <> h.debit_account)""",
    "I11 no hold gives more than it has, and each step recorded what the hold had come to": f"""
        SELECT s.hold, s.txn_id FROM ({_SUM}) s
         WHERE s.captured + s.released + s.expired > s.authorised OR s.refunded > s.captured
        UNION ALL
        SELECT s.hold, r.txn_id FROM pay.simulation r JOIN ({_SUM}) s USING (txn_id)
          LEFT JOIN pay.transfer v ON s.kind = 'C' AND s.next_kind = 'V' AND v.hold_id = s.hold
           AND v.wallet_version = s.wallet_version + 1
           AND NOT EXISTS (SELECT 1 FROM pay.simulation o WHERE o.txn_id = v.txn_id)
         WHERE r.effect <> 'H'
           AND (r.authorised, r.captured, r.released, r.expired, r.refunded) IS DISTINCT FROM
               (s.authorised, s.captured, s.released + coalesce(v.amount, 0), s.expired,
                s.refunded)""",
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
