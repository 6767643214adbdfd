-- Many holds, one statement, one commit. Never waits for a wallet: one that somebody else has locked
-- comes back as 'busy' and is sent again alone. Exactly one row per request, matched by n.
{{hold_lock}} SKIP LOCKED
{{hold_decide}}
