-- What haproxy answers to what it cannot read as HTTP, which its own errors would tell in HTML: Docket's problems.
local ANSWER = "HTTP/1.1 %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nX-Request-ID: %s\r\n"
  .. "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%sConnection: close\r\n\r\n%s"
local ONLY_BY_TLS = "Strict-Transport-Security: max-age=63072000; includeSubDomains\r\n" -- as Docket says it
local PROBLEM = '{"type":"/problems/%s","title":"%s","status":%d,"detail":"%s","code":"%s","request_id":"%s","errors":[]}'

local function register(code, status, reason, title, detail)
  core.register_service(code, "tcp", function(applet)
    local id = applet.f:uuid()
    local problem = PROBLEM:format(code, title, status, detail, code, id)
    local by_tls = applet.f:ssl_fc() == 1 and ONLY_BY_TLS or ""
    applet:send(ANSWER:format(status .. " " .. reason, #problem, id, by_tls, problem))
  end)
end

register("malformed_request", 400, "Bad Request", "Malformed request",
  "This is no request of HTTP/1.1, or one that can be read in two ways.")
register("request_timeout", 408, "Request Timeout", "Request timeout", "The request did not arrive in time.")
register("uri_too_long", 414, "URI Too Long", "URI too long", "The request target is too long.")
register("header_fields_too_large", 431, "Request Header Fields Too Large", "Header fields too large",
  "The header section is too large.")
