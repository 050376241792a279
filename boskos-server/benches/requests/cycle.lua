-- Acquires and releases in turn. What one connection acquired any other of the same thread may release.
--
-- A server that answers everything with the same resource is asked just the same: only as many
-- answers are read for a name as acquires are under way.

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

ok, other = 0, 0

local held, count, owed = {}, 0, 0
local acquire, release_head, release_tail

function init()
  acquire = wrk.format("POST", "/acquire?type=gce-project&state=free&dest=busy&owner=bench")
  local release = wrk.format("POST", "/release?name=NAME&dest=free&owner=bench")
  local from, to = release:find("NAME", 1, true)
  release_head, release_tail = release:sub(1, from - 1), release:sub(to + 1)
end

function request()
  if count > 0 then
    local name = held[count]
    count = count - 1
    return release_head .. name .. release_tail
  end
  owed = owed + 1
  return acquire
end

function response(status, _, body)
  if status ~= 200 then
    other = other + 1
    if owed > 0 then owed = owed - 1 end
    return
  end
  ok = ok + 1
  if owed > 0 and #body > 0 then
    owed = owed - 1
    local name = body:match('"name":"([^"]*)"')
    if name then
      count = count + 1
      held[count] = name
    end
  end
end

function done(summary, latency)
  local all_ok, all_other = 0, 0
  for _, thread in ipairs(threads) do
    all_ok = all_ok + thread:get("ok")
    all_other = all_other + thread:get("other")
  end
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('{"ok":%d,"other":%d,"micros":%d,"p50_micros":%.0f,"p99_micros":%.0f}\n', all_ok,
    all_other + failed, summary.duration, latency:percentile(50), latency:percentile(99)))
end
