-- What a decision needs beside the wallet row w: its program, the business day there, and the velocity
-- counters, which are zero when they were written on an earlier day or in an earlier month.
-- Days only move forward: a wallet whose day lies ahead (a clock set back over midnight, a statement that began before
-- it and came late) goes on in that day, with its counters.
LEFT JOIN pay.program p ON p.program_id = w.program_id
LEFT JOIN LATERAL (SELECT greatest((statement_timestamp() AT TIME ZONE p.tz)::date,
                                   w.day) AS today OFFSET 0) t ON true
LEFT JOIN LATERAL (SELECT
     CASE WHEN w.day = t.today THEN w.day_spent ELSE 0 END AS day_spent,
     CASE WHEN w.day = t.today THEN w.day_count ELSE 0 END AS day_count,
     CASE WHEN w.day = t.today
            OR date_trunc('month', w.day::timestamp) = date_trunc('month', t.today::timestamp)
          THEN w.month_spent ELSE 0 END AS month_spent) c ON true
