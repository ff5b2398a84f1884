--- As `railtracks show --json`.

local show = require "railtracks.show"

return function(source, out) show.json.whole(source.run, source.calls, out) end
