"""Holds whose time is over, many at once, and what has become of them."""

# What so many holds by the service would have written, and long due; those of one wallet are due one
# second apart.
_HOLDS = """
WITH made AS MATERIALIZED (
  SELECT gen_random_uuid() AS txn_id, w.wallet_id, p.clearing_account, w.version + i AS version,
         w.balance - i * {amount}::bigint AS balance, p.currency, m.mcc, i
    FROM pay.wallet w JOIN pay.program p USING (program_id), generate_series(1, {each}) i,
         LATERAL (SELECT min(mcc) AS mcc FROM pay.program_mcc m WHERE m.program_id = p.program_id) m
   WHERE {where}
), decided AS (
  INSERT INTO pay.simulation (txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency,
                              mcc, effect, code, balance_after, processing_us, created_at,
                              expires_at)
  SELECT txn_id, 1, decode(md5(txn_id::text), 'hex'), sha256(''), wallet_id, {amount}, currency, mcc,
         'H', '00', balance, 1, now(), now() - interval '{since_s} s' + i * interval '1 s' FROM made
), written AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                            balance_after, created_at)
  SELECT txn_id, wallet_id, clearing_account, {amount}, 'H', version, balance, now() FROM made
)
UPDATE pay.wallet w
   SET balance = w.balance - {each} * {amount}::bigint, version = w.version + {each}, day = t.today,
       day_spent = {each} * {amount}::bigint
                 + CASE WHEN w.day = t.today THEN w.day_spent ELSE 0 END,
       day_count = {each} + CASE WHEN w.day = t.today THEN w.day_count ELSE 0 END,
       month_spent = {each} * {amount}::bigint
                   + CASE WHEN w.day >= date_trunc('month', t.today::timestamp)
                          THEN w.month_spent ELSE 0 END
  FROM pay.program p, LATERAL (SELECT (now() AT TIME ZONE p.tz)::date AS today) t
 WHERE p.program_id = w.program_id AND {where}"""


def holds_sql(first, last, each=1, amount=100, since_s=3600):
    """One statement that holds `amount` on each of these wallets, `each` times; due since then."""
    where = f"w.wallet_id BETWEEN {first} AND {last}"
    return _HOLDS.format(where=where, each=each, amount=amount, since_s=since_s)


def hold_overdue(database, wallets, each=1, amount=100, since_s=3600):
    """Of wallets whose numbers follow one another; gives the holds, in the order of their expiry."""
    database.run(holds_sql(wallets[0], wallets[-1], each, amount, since_s))
    return [
        row[0]
        for row in database.rows(
            "SELECT txn_id FROM pay.simulation"
            " WHERE wallet_id = ANY (%s) AND expires_at IS NOT NULL ORDER BY expires_at, txn_id",
            wallets,
        )
    ]


def make_overdue(database, transaction_ids, since_s=60):
    """Holds that were made otherwise."""
    database.run(
        "UPDATE pay.simulation SET expires_at = now() - %s * interval '1 s'"
        " WHERE txn_id = ANY (%s)",
        since_s,
        list(transaction_ids),
    )


def forget_all(database):
    """Nothing is due any more, whoever's it was: a test that counts sees its own holds only."""
    database.run("UPDATE pay.simulation SET expires_at = NULL WHERE expires_at <= now()")


def releases(database, transaction_ids):
    """{hold: [amount of each of its X rows]} of those that have one."""
    found = {}
    for hold, amount in database.rows(
        "SELECT hold_id, amount FROM pay.transfer WHERE kind = 'X' AND hold_id = ANY (%s)",
        list(transaction_ids),
    ):
        found.setdefault(hold, []).append(amount)
    return found


def standing(database, transaction_ids):
    """How many of them the expiry has still to come to."""
    return database.value(
        "SELECT count(*) FROM pay.simulation WHERE expires_at IS NOT NULL AND txn_id = ANY (%s)",
        list(transaction_ids),
    )
