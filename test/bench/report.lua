-- For wrk: the request that every measurement sends, and its result as one line of JSON, which wrk's own
-- summary is not. Without a `response` function wrk counts only status > 399 as an error, at no cost.
--   API_SECRET_KEY   sent as X-API-Key when it is set; the environment does not show in ps

local key = os.getenv("API_SECRET_KEY")
if key then
  wrk.headers["X-API-Key"] = key
end

function done(summary, latency, requests)
  local errors = summary.errors
  local good = summary.requests - errors.status
  io.write(string.format(
    'REPORT {"requests":%d,"seconds":%.6f,"good":%d,"good_per_s":%.1f,"non_2xx":%d,"connect_errors":%d,'
      .. '"read_errors":%d,"write_errors":%d,"timeouts":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration / 1e6, good, good / (summary.duration / 1e6), errors.status,
    errors.connect, errors.read, errors.write, errors.timeout, latency:percentile(50),
    latency:percentile(90), latency:percentile(99), latency.max))
end
