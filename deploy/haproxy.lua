-- What haproxy answers to what it cannot read as HTTP, which its own errors would tell in HTML: Docket's problems.
local ANSWER = "HTTP/1.1 %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nX-Request-ID: %s\r\n"
  .. "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n%s"
local PROBLEM = '{"type":"/problems/%s","title":"%s","status":%d,"detail":"%s","code":"%s","request_id":"%s","errors":[]}'

local function register(code, status, reason, title, detail)
  core.register_service(code, "tcp", function(applet)
    local id = applet.f:uuid()
    local problem = PROBLEM:format(code, title, status, detail, code, id)
    applet:send(ANSWER:format(status .. " " .. reason, #problem, id, problem))
  end)
end

register("malformed_request", 400, "Bad Request", "Malformed request",
  "This is no request of HTTP/1.1, or one that can be read in two ways.")
register("request_timeout", 408, "Request Timeout", "Request timeout", "The request did not arrive in time.")
register("uri_too_long", 414, "URI Too Long", "URI too long", "The request target is too long.")
register("header_fields_too_large", 431, "Request Header Fields Too Large", "Header fields too large",
  "The header section is too large.")
