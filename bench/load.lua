-- Tool calls for wrk, each with a text of its own.
-- wrk -s load.lua URL -- NAME=VALUE …
--   era=modern|legacy  tool=NAME  size=BYTES of the answer beyond the text  sessions=FILE with one session id per line
--   ids=distinct|equal|counted (from 0, by each of clients=N)  heads=repeating|varying (a fresh traceparent per call)
-- wrk does not say which connection asks for a request: of N clients that each count from 0, the K-th round of N requests has id K.

local options = {era = 'modern', tool = 'echo', size = '0', ids = 'distinct', heads = 'repeating', clients = '1'}
local number = 1000000
local start, between, after
local heads = {} -- by session, then by the number of bytes of an id
local sessions = {''}
local clients, varying

local function head_of(era, tool, length)
  local headers = 'MCP-Protocol-Version: 2025-11-25\r\n'
  if era == 'modern' then
    headers = 'MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: ' .. tool .. '\r\n'
  end
  if wrk.headers['Authorization'] then
    headers = headers .. 'Authorization: ' .. wrk.headers['Authorization'] .. '\r\n'
  end
  return 'POST ' .. wrk.path .. ' HTTP/1.1\r\nHost: ' .. wrk.headers['Host'] ..
    '\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n' .. headers ..
    'User-Agent: wrk\r\nContent-Length: ' .. length
end

local function body_of(era, tool, size, token)
  local meta = {}
  if era == 'modern' then
    meta[1] = '"io.modelcontextprotocol/protocolVersion":"2026-07-28",' ..
      '"io.modelcontextprotocol/clientInfo":{"name":"wrk","version":"1"},' ..
      '"io.modelcontextprotocol/clientCapabilities":{}'
  end
  if token then
    meta[#meta + 1] = '"progressToken":"token"'
  end
  start = '{"jsonrpc":"2.0","id":'
  between = ',"method":"tools/call","params":{"name":"' .. tool .. '","arguments":{"text":"text '
  after = '"' .. (size ~= '0' and ',"size":' .. size or '') .. '}' ..
    (#meta > 0 and ',"_meta":{' .. table.concat(meta, ',') .. '}' or '') .. '}}'
end

function init(args)
  for _, argument in ipairs(args) do
    local name, value = argument:match('^(%w+)=(.*)$')
    if not name or (options[name] == nil and name ~= 'sessions') then error('load.lua: ' .. argument) end
    options[name] = value
  end
  clients, varying = tonumber(options.clients), options.heads == 'varying'
  body_of(options.era, options.tool, options.size, options.tool == 'echo_progress')
  if options.sessions then
    sessions = {}
    for session in io.lines(options.sessions) do
      sessions[#sessions + 1] = '\r\nMcp-Session-Id: ' .. session
    end
  end
  for _, session in ipairs(sessions) do
    local by_width = {}
    for width = 1, 7 do
      local length = #start + width + #between + 7 + #after
      by_width[width] = head_of(options.era, options.tool, length) .. session
    end
    heads[#heads + 1] = by_width
  end
end

function request()
  number = number + 1
  if number > 9999999 then number = 1000000 end
  local id = tostring(number)
  if options.ids == 'equal' then
    id = '1'
  elseif options.ids == 'counted' then
    id = tostring(math.floor((number - 1000000) / clients))
  end
  local head = heads[number % #heads + 1][#id]
  if varying then
    head = head .. string.format('\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d%08x-00f067aa%08x-01', number, number)
  end
  return head .. '\r\n\r\n' .. start .. id .. between .. number .. after
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"calls":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    e.connect, e.read, e.write, e.status, e.timeout))
end
