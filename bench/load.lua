-- Tool calls for wrk, each with an id and a text of its own.
-- wrk -s load.lua URL -- ERA [FILE with one session id per line]
-- Ids have a fixed width, so that the length of the body is a constant.

local id = 1000000
local before, between, after
local sessions = {}

local function template(era)
  local meta = ''
  local headers = 'MCP-Protocol-Version: 2025-11-25\r\n'
  if era == 'modern' then
    headers = 'MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n'
    meta = ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",' ..
      '"io.modelcontextprotocol/clientInfo":{"name":"wrk","version":"1"},' ..
      '"io.modelcontextprotocol/clientCapabilities":{}}'
  end
  if wrk.headers['Authorization'] then
    headers = headers .. 'Authorization: ' .. wrk.headers['Authorization'] .. '\r\n'
  end
  local start = '{"jsonrpc":"2.0","id":'
  between = ',"method":"tools/call","params":{"name":"echo","arguments":{"text":"text '
  after = '"}' .. meta .. '}}'
  local length = #start + 7 + #between + 7 + #after
  before = '\r\nContent-Length: ' .. length .. '\r\n\r\n' .. start
  return 'POST ' .. wrk.path .. ' HTTP/1.1\r\nHost: ' .. wrk.headers['Host'] ..
    '\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n' .. headers .. 'User-Agent: wrk'
end

function init(args)
  local head = template(args[1])
  if args[2] then
    for session in io.lines(args[2]) do
      sessions[#sessions + 1] = head .. '\r\nMcp-Session-Id: ' .. session .. before
    end
  else
    sessions[1] = head .. before
  end
end

function request()
  id = id + 1
  if id > 9999999 then id = 1000000 end
  return sessions[id % #sessions + 1] .. id .. between .. id .. after
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"calls":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    e.connect, e.read, e.write, e.status, e.timeout))
end
