# SPDX-License-Identifier: GPL-2.0-or-later
# Of a file of callgrind: lines "object<TAB>function<TAB>cost of its own", every pair once. What libsoftverbs
# has others do for it (locks, copies) is its own: "libsoftverbs.so" as the object, "(called)".

# "(3) name" defines a name, "(3)" repeats it.
function named(names, text,   end, id) {
	end = index(text, ")")
	id = substr(text, 1, end)
	if (length(text) > end)
		names[id] = substr(text, end + 2)
	return names[id]
}

/^ob=/ { object = named(objects, substr($0, 4)); sub(/.*\//, "", object); next }
/^fn=/ { fn = named(functions, substr($0, 4)); next }
/^cob=/ { callee = named(objects, substr($0, 5)); sub(/.*\//, "", callee); next }
/^cfn=/ { named(functions, substr($0, 5)); next }
/^calls=/ { inclusive = 1; next }
/^[-+*0-9]/ {
	if (!inclusive)
		cost[object "\t" fn] += $2
	else if (object ~ /^libsoftverbs/ && callee != "" && callee !~ /^libsoftverbs/) {
		cost["libsoftverbs.so\t(called)"] += $2
		cost["libc.so\t(for libsoftverbs)"] -= $2
	}
	inclusive = 0
	callee = ""
}

END {
	for (pair in cost)
		printf "%s\t%d\n", pair, cost[pair]
}
