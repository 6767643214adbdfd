-- The decision, written once: which ISO 8583 code a purchase gets. First match wins; the order is that
-- of PAYMENT_CODES in core/payment.c. A new decline rule is one WHEN here and one line there.
-- In scope: r the request (region, amount, currency, mcc, country), w the wallet or NULLs, and what
-- counters.inc.sql joins: p its program, t.today, c the velocity counters of today.
CASE WHEN w.wallet_id IS NULL THEN '14'
     WHEN p.region <> r.region THEN '93'
     WHEN w.status = 'C' THEN '46'
     WHEN w.status <> 'A' THEN '62'
     WHEN w.valid_thru < t.today THEN '54'
     WHEN p.currency <> r.currency THEN '12'
     WHEN p.country <> r.country
          OR NOT EXISTS (SELECT 1 FROM pay.program_mcc m
                          WHERE m.program_id = p.program_id AND m.mcc = r.mcc) THEN '57'
     WHEN c.day_count >= p.day_count_max THEN '65'
     WHEN r.amount > p.txn_max OR c.day_spent + r.amount > p.day_max
          OR c.month_spent + r.amount > p.month_max THEN '61'
     WHEN w.balance < r.amount THEN '51'
     ELSE '00' END
