-- What a decision needs beside the wallet row w: its program, the business day there, and the velocity
-- counters, which are zero when they were written on another day or in another month.
LEFT JOIN pay.program p ON p.program_id = w.program_id
LEFT JOIN LATERAL (SELECT (statement_timestamp() AT TIME ZONE p.tz)::date AS today OFFSET 0) t ON true
LEFT JOIN LATERAL (SELECT
     CASE WHEN w.day = t.today THEN w.day_spent ELSE 0 END AS day_spent,
     CASE WHEN w.day = t.today THEN w.day_count ELSE 0 END AS day_count,
     CASE WHEN w.day = t.today
            OR date_trunc('month', w.day::timestamp) = date_trunc('month', t.today::timestamp)
          THEN w.month_spent ELSE 0 END AS month_spent) c ON true
