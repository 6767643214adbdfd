-- One hold that waits for its wallet, bounded by lock_timeout. Same parameters (arrays of one) and
-- columns as hold_batch.sql; never answers 'busy'.
{{hold_lock}}
{{hold_decide}}
