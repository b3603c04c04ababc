-- wrk's requests: one operation, each as a random user on one of the user's own tasks.
-- Arguments: operation, path of the tasks, file of users (a line each: token, then the ids of the tasks).

local users = {}
local operation, path, count

local json = "\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
local merge = "\r\nContent-Type: application/merge-patch+json\r\nContent-Length: %d\r\n\r\n%s"
local created = '{"title":"Plan the release of version %07d","description":"%s","status":"in_progress",' ..
  '"priority":"high","due_date":"2026-12-01T17:00:00Z"}'
local changed = '{"title":"Plan the release of version %07d","priority":"high"}'
local description = string.rep("What has to be done, by which person and until when. ", 3) .. "That is all."

function init(arguments)
  operation, path, count = arguments[1], arguments[2], 0
  for line in io.lines(arguments[3]) do
    local user = { ids = {} }
    for word in line:gmatch("%S+") do
      if user.head then user.ids[#user.ids + 1] = word
      else user.head = " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " .. word end
    end
    users[#users + 1] = user
  end
  math.randomseed(20260131)  -- the same sequence of users and tasks for every server
end

local function with_body(template, body)
  return string.format(template, #body, body)
end

function request()
  local user = users[math.random(#users)]
  local id = user.ids[math.random(#user.ids)]
  count = count + 1
  if operation == "get" then
    return "GET " .. path .. "/" .. id .. user.head .. "\r\n\r\n"
  elseif operation == "list" then
    return "GET " .. path .. "?limit=50" .. user.head .. "\r\n\r\n"
  elseif operation == "search" then
    return "GET " .. path .. "/search?q=release&limit=50" .. user.head .. "\r\n\r\n"
  elseif operation == "create" then
    return "POST " .. path .. user.head .. with_body(json, string.format(created, count, description))
  end
  return "PATCH " .. path .. "/" .. id .. user.head .. with_body(merge, string.format(changed, count))
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
