-- For wrk: holds that move money. Every request has an Idempotency-Key that no other request of any thread
-- or run has, and one of the demo's wallets, wal_1 to wal_100000, by chance.
--   WALLETS (100000), CURRENCY (EUR), MCC (5812), COUNTRY (ES): what the demo data of the region accepts

dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "") .. "report.lua")

local WALLETS = tonumber(os.getenv("WALLETS") or 100000)
local BODY = string.format(
  '{"wallet_id":"wal_%%d","amount":100,"currency":"%s","merchant":{"mcc":"%s","country":"%s"}}',
  os.getenv("CURRENCY") or "EUR", os.getenv("MCC") or "5812", os.getenv("COUNTRY") or "ES")

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

-- 64 random bits for each run and thread: drawn by the kernel, because os.time() repeats.
local function random_word()
  local source = assert(io.open("/dev/urandom", "rb"))
  local bytes = source:read(8)
  source:close()
  return (bytes:gsub(".", function(byte) return string.format("%02x", byte:byte()) end))
end

local run, count

function init()
  run, count = random_word(), 0
  math.randomseed(tonumber(run:sub(1, 8), 16))
end

function request()
  count = count + 1
  wrk.headers["Idempotency-Key"] = run .. "-" .. count
  return wrk.format(nil, nil, nil, string.format(BODY, math.random(WALLETS)))
end
