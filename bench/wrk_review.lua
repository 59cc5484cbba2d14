-- Posts one review over and over and checks every answer: status 200 and exactly the expected bytes.
--
-- usage: wrk -s wrk_review.lua URL -- REVIEW_FILE EXPECTED_FILE
--
-- The last line of the output is `RESULT {…}`: latencies in microseconds, the duration too.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = read(args[1])
  expected = read(args[2])
  wrong = 0
  first_wrong = ""
end

function response(status, _headers, body)
  if status ~= 200 or body ~= expected then
    if wrong == 0 then first_wrong = status .. " " .. string.sub(body, 1, 500) end
    wrong = wrong + 1
  end
end

local function quote(text)
  return '"' .. string.gsub(text, '[%c"\\\128-\255]', function(char)
    return string.format("\\u%04x", string.byte(char))
  end) .. '"'
end

function done(summary, latency, _requests)
  local wrong_answers, sample = 0, ""
  for _, thread in ipairs(threads) do
    wrong_answers = wrong_answers + thread:get("wrong")
    if sample == "" then sample = thread:get("first_wrong") end
  end
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"duration":%d,"p50":%d,"p90":%d,"p99":%d,"p999":%d,"wrong":%d,"unanswered":%d,"firstWrong":%s}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency:percentile(99.9), wrong_answers, e.connect + e.read + e.write + e.timeout, quote(sample)))
end
