std = "lua54"
max_line_length = 88

files["spec"] = {std = "+busted"}

-- Type definitions for editors: functions without a body, arguments without a use.
files["lua/meta"] = {unused = false, unused_args = false, redefined = false}
