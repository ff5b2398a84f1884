local hints = {}
function hints.for_error() end
function hints.for_syntax() end
return hints
