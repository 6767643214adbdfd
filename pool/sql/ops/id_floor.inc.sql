-- The least identifier of the time floored.at: a UUIDv7 begins with the milliseconds of when it was made.
(SELECT (left(ms, 8) || '-' || right(ms, 4) || '-0000-0000-000000000000')::uuid
   FROM lpad(to_hex(greatest(0, floor(extract(epoch FROM floored.at) * 1000))::int8), 12, '0') ms)
