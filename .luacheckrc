std = "lua54"
max_line_length = 100  -- the aim is 88; this is where it ends

files["spec"] = {std = "+busted"}

-- Type definitions for editors: functions without a body, arguments without a use.
files["lua/meta"] = {unused = false, unused_args = false, redefined = false}

-- The program hands the script its arguments in `arg`, as lua does.
files["lua/railtracks/cli.lua"] = {globals = {"arg"}}
