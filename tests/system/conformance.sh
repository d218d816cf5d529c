# SPDX-License-Identifier: GPL-2.0-or-later
# Reads what iscsi-test-cu --verbose prints and judges it by conformance.known. For the conformance
# tests, here and in the guest.
known=$(dirname "${BASH_SOURCE[0]}")/conformance.known

# A process for each suite, and for each test of Sanitize: Sanitize.Reservations leaves its RESERVE (6)
# on the second path, and Reset meets it.
separately() {
	iscsi-test-cu --list | sed -n 's/^ALL\.//p' | grep -E '^[^.]*$|^Sanitize\.' | grep -vx Sanitize
}

# results_of LOG: a line for each test: SUITE.TEST, passed, skipped or failed, the client's words (tabs).
# Nothing where the client did not come to its summary, or where that says something else.
results_of() {
	awk -v OFS='\t' '
		function end_test() {
			if (test == "") return
			result = failure != "" ? "failed" : skips != "" ? "skipped" : "passed"
			lines[n++] = suite "." test OFS result OFS (failure != "" ? failure : skips)
			if (failure != "") failures++
			test = failure = skips = ""
		}
		/CUnit - A unit testing framework/ { n = failures = 0; test = failure = skips = "" } # tried again
		/^Suite: / { end_test(); suite = $2 }
		/^  Test: / { end_test(); test = $2 }
		/\[SKIPPED\]/ { sub(/.*\[SKIPPED\] */, ""); if (!index(skips, $0)) skips = skips (skips != "" ? " " : "") $0 }
		/^ +[0-9]+\. [^ ]+\.c:[0-9]+ / && failure == "" { $1 = ""; failure = substr($0, 2) }
		/^Run Summary/ { end_test() }
		$1 == "tests" && NF >= 6 { ran = $3; failed = $5 }
		END {
			if (!n || ran != n || failed != failures + 0) exit 1
			for (i = 0; i < n; i++) print lines[i]
		}' "$1"
}

# ended STATUS LOG: the client came to its end. Over its own iSER it may crash behind that, in its heap:
# after a read of less than 128 bytes that ended in CHECK CONDITION it takes the buffer for a larger
# one of its pool.
ended() {
	case $1 in
	134 | 139) grep -qa 'Tests completed' "$2" ;;
	*) [ "$1" -lt 124 ] ;;
	esac
}

# judge WHERE <RESULTS: for each test SUITE.TEST, the verdict (passed, skipped, client or FAILED), its
# reason and the client's words.
judge() {
	awk -v OFS='\t' -v where="$1" '
		BEGIN { n = 0 }
		function fits(text, glob) {
			gsub(/\./, "\\.", glob)
			gsub(/\*/, ".*", glob)
			return text ~ "^" glob "$"
		}
		FNR == NR {
			if ($0 == "" || /^#/ || !fits(where, $2)) next
			what[n] = $1
			slash = index($3, "/")
			tests[n] = slash ? substr($3, 1, slash - 1) : $3
			words[n] = slash ? substr($3, slash + 1) : "*"
			reasons[n++] = match($0, /^[^ ]+ +[^ ]+ +[^ ]+ +/) ? substr($0, RLENGTH + 1) : ""
			next
		}
		{
			split($0, field, "\t")
			verdict = field[2]
			reason = ""
			if (verdict != "passed") {
				wanted = verdict == "skipped" ? "skip" : "client"
				for (i = 0; i < n; i++)
					if ((what[i] == "must" || what[i] == wanted) && fits(field[1], tests[i]) &&
						fits(field[3], words[i])) break
				if (i == n || what[i] == "must") verdict = "FAILED"
				else { verdict = wanted == "skip" ? "skipped" : "client"; reason = reasons[i] }
			}
			print field[1], verdict, reason, field[3]
		}' "$known" -
}

# sums VERDICTS: "N run, N passed, ..."
sums() {
	awk -F'\t' '{ n[$2]++ } END {
		printf "%d run, %d passed, %d skipped", NR, n["passed"], n["skipped"]
		if (n["client"]) printf ", %d client bugs", n["client"]
		printf ", %d failed\n", n["FAILED"]
	}' "$1"
}

# by_suite VERDICTS: a line for each suite
by_suite() {
	awk -F'\t' '
		{
			suite = $1
			sub(/\..*/, "", suite)
			if (!run[suite]++) order[n++] = suite
			count[suite, $2]++
		}
		END {
			for (i = 0; i < n; i++)
				printf "     %-24s %2d run, %2d passed, %2d skipped, %2d client bugs, %2d failed\n", order[i],
					run[order[i]], count[order[i], "passed"], count[order[i], "skipped"],
					count[order[i], "client"], count[order[i], "FAILED"]
		}' "$1"
}

# client_bugs VERDICTS: each of them with the tests that fail of it, for tools/check as well.
client_bugs() {
	awk -F'\t' '
		$2 == "client" {
			if (!($3 in tests)) order[n++] = $3
			tests[$3] = tests[$3] " " $1
		}
		END { for (i = 0; i < n; i++) print "list: client, " order[i] ":" tests[order[i]] }' "$1"
}

# unused WHERE VERDICTS: the tests that conformance.known excuses for exactly that and that do not fail.
unused() {
	comm -23 <(awk -v where="$1" '$1 == "client" && $2 == where { sub(/\/.*/, "", $3); print $3 }' "$known" | sort) \
		<(awk -F'\t' '$2 == "client" { print $1 }' "$2" | sort)
}

# report WHERE VERDICTS: a line, what the client did wrong, and those that failed; with RTGT_VERBOSE=1 a
# line for each suite.
report() {
	say "$1: $(sums "$2")"
	client_bugs "$2"
	[ "${RTGT_VERBOSE:-0}" = 0 ] || by_suite "$2"
	[ -s "$2" ] || fail "$1: no results"
	local test words
	while IFS=$'\t' read -r test words; do
		fail "$1: $test: $words"
	done < <(awk -F'\t' '$2 == "FAILED" { print $1 "\t" $4 }' "$2")
}

# note_sums VERDICTS...: of all, for tools/check.
note_sums() { echo "note: $# runs: $(sums <(cat "$@"))"; }
