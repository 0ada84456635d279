-- wrk's one request, from the arguments behind `--`: method, path, file of the body ('-': none), then headers as
-- `Name: value`. At the end a line of JSON, which load.py reads.
function init(args)
  wrk.method, wrk.path = args[1], args[2]
  if args[3] ~= '-' then
    local file = io.open(args[3], 'rb')
    wrk.body = file:read('*a')
    file:close()
  end
  for i = 4, #args do
    local name, value = string.match(args[i], '^([^:]+): (.*)$')
    wrk.headers[name] = value
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "median_us": %.0f, "p99_us": %.0f}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
