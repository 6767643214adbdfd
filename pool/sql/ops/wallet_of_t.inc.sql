-- The wallet of the ledger row t, as the unique index over (wallet, version) has it.
(CASE WHEN t.debit_account > 0 THEN t.debit_account ELSE t.credit_account END)
