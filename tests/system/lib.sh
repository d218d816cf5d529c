# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the system tests: a daemon of the built tree, its configuration, and real clients.
# A test sources this, uses the functions, and ends with `finish`. Environment: RTGT_BUILD (the build
# tree), RTGT_TIER (plain, asan, tsan), RTGT_LONG (0 or 1).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${RTGT_BUILD:-$here/build}
tier=${RTGT_TIER:-plain}
long=${RTGT_LONG:-0}
rtgtd=$build/tools/rtgtd
rtgtctl=$build/tools/rtgtctl
iqn=iqn.2008-05.org.rtgt:disk
work=$(mktemp -d "${TMPDIR:-/tmp}/rtgt-test.XXXXXX")
export SOFTVERBS_DIR=$work/rdma SOFTVERBS_STRICT=1 SOFTVERBS_POISON=1
softverbs=$build/tools/softverbs/.libs/libsoftverbs.so
daemon= bus= bad=0 mounts=()
port=0

say() { echo "-- $*"; }
fail() { echo "FAIL: $*"; bad=$((bad + 1)); }
skip() { echo "$*"; cleanup; exit 77; }
need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

cleanup() {
	trap - EXIT
	local pid mount
	for pid in $(jobs -p) $daemon $bus; do kill "$pid" 2>/dev/null; done
	for _ in $(seq 50); do
		[ -n "$(jobs -pr)" ] || break
		sleep 0.1
	done
	for pid in $(jobs -p) $daemon; do kill -KILL "$pid" 2>/dev/null; done
	wait 2>/dev/null
	for mount in "${mounts[@]}"; do umount "$mount"; done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Free TCP ports, one for both transports is allowed but two are clearer.
free_port() {
	local p
	for _ in $(seq 100); do
		p=$((20000 + RANDOM % 12000))
		ss -Hltn "sport = :$p" | grep -q . || { echo $p; return; }
	done
	return 1
}

# write_config [extra lines for the target] <<lun groups ; sets $tcp_port $iser_port $srp_port
write_config() {
	tcp_port=$(free_port)
	iser_port=$(free_port)
	srp_port=$(free_port)
	cat >"$work/rtgt.conf" <<TXT
[daemon]
bus=none
state-dir=$work/state
[iscsi]
listen=127.0.0.1:$tcp_port
TXT
	case ${transports:-iscsi} in *iser*) printf '[iser]\nlisten=127.0.0.1:%s\n' "$iser_port" >>"$work/rtgt.conf" ;; esac
	case ${transports:-iscsi} in *srp*) printf '[srp]\nlisten=127.0.0.1:%s\n%s' "$srp_port" "${srp_keys:-}" >>"$work/rtgt.conf" ;; esac
	printf '[target %s]\ntransports=%s\nallow=all\n' "$iqn" "${transports:-iscsi}" >>"$work/rtgt.conf"
	cat >>"$work/rtgt.conf"
}

# How often a daemon has become ready here.
ready_count() { cat "$work/rtgtd.log" 2>/dev/null | grep -c '\bready\b'; }

# start_daemon [ARG...]: runs rtgtd on $work/rtgt.conf, under softverbs where RDMA is asked for, and
# $preload.
start_daemon() {
	local libraries=${preload:-}
	case ${transports:-iscsi} in *iser* | *srp*) libraries=$libraries${libraries:+:}$softverbs ;; esac
	local before
	before=$(ready_count)
	env LD_PRELOAD="$libraries" "$rtgtd" -c "$work/rtgt.conf" "$@" >>"$work/rtgtd.log" 2>&1 &
	daemon=$!
	for _ in $(seq 300); do
		[ "$(ready_count)" -gt "$before" ] && return 0
		kill -0 $daemon 2>/dev/null || break
		sleep 0.1
	done
	echo "rtgtd did not start:"; cat "$work/rtgtd.log"
	exit 1
}

# start_bus: a private message bus; $bus_address is for --bus of rtgtd and rtgtctl.
start_bus() {
	need dbus-daemon
	exec 9< <(exec dbus-daemon --session --nofork --nopidfile --print-address=1 --print-pid=1)
	read -r -u 9 bus_address
	read -r -u 9 bus
	[ -n "$bus" ] || skip "no dbus-daemon can be started"
}
ctl() { "$rtgtctl" --bus "$bus_address" "$@"; }

# timeout --foreground stays in the test's process group, so that nothing outlives an interrupted test.

# load ARG...: rtgt-load, over RDMA as well.
load() { env LD_PRELOAD="$softverbs" timeout --foreground "${load_timeout:-300}" "$build/tests/initiator/rtgt-load" "$@"; }

# iser_client COMMAND...: a client made with libiscsi 1.19, whose two bugs at the ends of a connection
# are worked around: its connection is not initialised (MALLOC_PERTURB_=255 makes malloc return
# zeros), and what it has logged out it never disconnects. Two seconds later the target does: then its
# CM thread posts the semaphore of a connection that was freed, or that is another's by then, which
# it takes for its own end (tried again either way).
iser_client() {
	local try status
	for try in 1 2 3; do
		MALLOC_PERTURB_=255 LD_PRELOAD=$softverbs timeout --foreground "${client_timeout:-300}" "$@" 2>"$work/client.err"
		status=$?
		cat "$work/client.err"
		grep -qE 'futex facility|Conn disconnected event' "$work/client.err" || break
	done
	return $status
}

# What the daemon holds that a leak would add to.
daemon_fds() { ls "/proc/$daemon/fd" | wc -l; }
daemon_cpu_us() { awk '{ns += $1} END {printf "%d\n", ns / 1000}' /proc/$daemon/task/*/schedstat; }
daemon_rss_kib() { awk '$1 == "VmRSS:" {print $2}' "/proc/$daemon/status"; }

# stop_daemon: SIGTERM, bounded; its exit status and its log are judged.
stop_daemon() {
	[ -n "$daemon" ] || return 0
	local status
	kill -TERM $daemon 2>/dev/null
	for _ in $(seq 400); do
		kill -0 $daemon 2>/dev/null || break
		sleep 0.1
	done
	kill -0 $daemon 2>/dev/null && { fail "rtgtd did not end within 40 s"; kill -KILL $daemon; }
	wait $daemon
	status=$?
	daemon=
	[ $status = 0 ] || fail "rtgtd ended with status $status"
	judge_log "$work/rtgtd.log"
}

# A sanitizer's report, an assertion or a broken rule of the verbs fails the test. What softverbs says
# of a peer that has died is no broken rule.
# expected_reports: a pattern of reports that the test provokes itself.
judge_log() {
	local reports
	reports=$(grep -aE '(Address|Leak|Thread)Sanitizer|runtime error:|CRITICAL|assertion|softverbs\[' "$1" |
		grep -avE "transport retry counter exceeded${expected_reports:+|$expected_reports}")
	[ -z "$reports" ] && return
	fail "the log holds reports:"
	head -n 20 <<<"$reports"
}

# mount_atomic DIR: a file system whose files have atomic writes, until the test ends: XFS has them by
# itself since Linux 6.16. False where there cannot be one.
mount_atomic() {
	[ "$(id -u)" = 0 ] && command -v mkfs.xfs >/dev/null || return 1
	[ "$(printf '%s\n' 6.16 "$(uname -r)" | sort -V | head -n 1)" = 6.16 ] || return 1
	mkdir "$1" && truncate -s 600M "$1.img" && mkfs.xfs -q -m reflink=1 "$1.img" &&
		mount -o loop "$1.img" "$1" 2>/dev/null && mounts+=("$1")
}

# A file of pseudo-random bytes: random_file PATH MIB
random_file() {
	openssl enc -aes-128-ctr -pass pass:"${3:-rtgt}" -nosalt -pbkdf2 </dev/zero 2>/dev/null |
		head -c "${2}M" >"$1"
}

tcp_url() { echo "iscsi://127.0.0.1:$tcp_port/$iqn/${1:-0}"; }
# The identifiers are in the log of the latest start.
srp_ids() {
	sed -n "s/.*target ${2:-$iqn} over SRP: id_ext=\([0-9a-f]*\),ioc_guid=/\1-/p" "$work/rtgtd.log" | tail -n 1
}
# srp_url [LUN [TARGET]]
srp_url() { echo "srp://127.0.0.1:$srp_port/$(srp_ids "$@")/${1:-0}"; }
iser_url() { echo "iser://127.0.0.1:$iser_port/$iqn/${1:-0}"; }

finish() {
	stop_daemon
	if [ $bad -gt 0 ]; then
		echo "$bad failed; the daemon's log:"
		tail -n 40 "$work/rtgtd.log"
		exit 1
	fi
	exit 0
}
