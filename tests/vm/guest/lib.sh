# SPDX-License-Identifier: GPL-2.0-or-later
# What the scripts that run in the guest share: `. /rtgt/tests/vm/guest/lib.sh`. A network N is a dummy
# network device rdN with the address 10.9.N.1 and an rxe device rxeN on it; everything loops back.
set -uo pipefail
ip=10.9.0.1
iqn=iqn.2008-05.org.rtgt:disk
initiator=iqn.2008-05.org.rtgt:guest
bus_address=unix:path=/run/rtgt-bus
daemon= bad=0

say() { echo "-- $(cut -d' ' -f1 /proc/uptime) $*"; }
fail() { echo "FAIL: $*"; bad=$((bad + 1)); }
die() { echo "FAIL: $*"; [ ! -s /job/rtgtd.log ] || tail -n 20 /job/rtgtd.log; kernel_is_quiet; exit 1; }

# The kernel has nothing to complain of so far: no warning, bug, hung task, stall.
kernel_is_quiet() {
	dmesg | grep -E 'WARNING:|BUG:|Oops|general protection|UBSAN:|refcount_t|blocked for more than|rcu.*stall|Call Trace' \
		>/job/kernel-warnings || return 0
	fail "the kernel warned:"
	head -n 20 /job/kernel-warnings
	return 1
}

# Ends a script: status 0 only when nothing failed and the kernel has nothing to complain of.
finish() {
	kernel_is_quiet
	[ $bad = 0 ] || { echo "$bad failed"; exit 1; }
	exit 0
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local n=$(($1 * 10)); shift
	until "$@" >/dev/null 2>&1; do
		n=$((n - 1)); [ $n -gt 0 ] || return 1
		sleep 0.1
	done
}

# start_rxe [N]: network N (0), whose MTU lets RDMA have 4096.
start_rxe() {
	local n=${1:-0}
	modprobe dummy numdummies=0
	modprobe -a rdma_rxe ib_uverbs rdma_ucm ib_umad
	ip link add "rd$n" type dummy
	ip link set "rd$n" mtu 4200 up
	ip addr add "10.9.$n.1/24" dev "rd$n"
	ip -6 addr add "fd00:9:$n::1/64" dev "rd$n" nodad
	rdma link add "rxe$n" type rxe netdev "rd$n"
	wait_for 5 grep -q ACTIVE "/sys/class/infiniband/rxe$n/ports/1/state" || die "rxe$n is not active"
}

# start_cable N: network N with a cable: the initiators have an interface of their own, riN with 10.9.N.2 and the
# device rxiN, and a switch is between it and rdN. cable_pull N, cable_plug N: its port on that switch goes down and
# up, as frames are lost and carriers go when somebody pulls a cable. (Taking rdN itself down is no test: for want of
# a route rxe then puts the queue pair of the connection manager into error, for good, as seen with Linux 6.1.)
start_cable() {
	local n=$1 end key
	modprobe -a veth bridge
	ip link add "sw$n" type bridge
	for end in rd ri; do
		ip link add "$end$n" mtu 4200 type veth peer name "sw$end$n" mtu 4200
		ip link set "sw$end$n" master "sw$n" up
		ip link set "$end$n" up
		# One processor for each port: frames that overtake each other count as lost.
		echo 1 | tee "/sys/class/net/$end$n/queues/rx-0/rps_cpus" >"/sys/class/net/sw$end$n/queues/rx-0/rps_cpus"
		for key in accept_local=1 rp_filter=0 arp_ignore=1; do
			echo "${key#*=}" >"/proc/sys/net/ipv4/conf/$end$n/${key%=*}"
		done
	done
	echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
	# Room for bursts: rxe repeats what registers memory when it repeats what was lost, and that fails.
	echo 100000 >/proc/sys/net/core/netdev_max_backlog
	ip link set "sw$n" mtu 4200 up
	ip addr add "10.9.$n.1/32" dev "rd$n"
	ip addr add "10.9.$n.2/32" dev "ri$n"
	# Both ends are ours, and yet packets take the wire: only what came by it may be local.
	ip rule add pref 1 iif "rd$n" lookup local
	ip rule add pref 1 iif "ri$n" lookup local
	ip rule add pref 2 to "10.9.$n.0/24" lookup "1$n"
	ip route add "10.9.$n.1/32" dev "ri$n" src "10.9.$n.2" table "1$n"
	ip route add "10.9.$n.2/32" dev "rd$n" src "10.9.$n.1" table "1$n"
	if ip rule show pref 0 | grep -q local; then
		ip rule add pref 10 lookup local
		ip rule del pref 0
	fi
	modprobe -a rdma_rxe ib_uverbs rdma_ucm ib_umad
	rdma link add "rxe$n" type rxe netdev "rd$n"
	rdma link add "rxi$n" type rxe netdev "ri$n"
	wait_for 5 grep -q ACTIVE "/sys/class/infiniband/rxe$n/ports/1/state" || die "rxe$n is not active"
	wait_for 5 grep -q ACTIVE "/sys/class/infiniband/rxi$n/ports/1/state" || die "rxi$n is not active"
}
cable_pull() { ip link set "swri$1" down; }
cable_plug() { ip link set "swri$1" up; }

start_iscsid() {
	modprobe -a ib_iser iscsi_tcp sd_mod sg
	mkdir -p /run/lock/iscsi /etc/iscsi/nodes
	iscsid -f >/job/iscsid.log 2>&1 &
	wait_for 5 iscsiadm -m iface || die "iscsid did not start"
}

# start_rtgtd [ARG...]: on /tmp/rtgt.conf, whose [daemon] group says bus=$bus_address.
start_rtgtd() {
	[ -x /tmp/bin/rtgtd ] || { mkdir -p /tmp/bin && cp /rtgt-build/tools/{rtgtd,rtgtctl} /tmp/bin; }
	[ -S /run/rtgt-bus ] || start_bus
	/tmp/bin/rtgtd -c /tmp/rtgt.conf --bus "$bus_address" "$@" >>/job/rtgtd.log 2>&1 &
	daemon=$!
	wait_for 60 daemon_ready || die "rtgtd did not start"
}
daemon_ready() {
	ctl status >/dev/null
}
start_bus() {
	dbus-daemon --session --nofork --nopidfile --address="$bus_address" >/job/dbus.log 2>&1 &
	wait_for 5 test -S /run/rtgt-bus || die "no message bus"
}
ctl() { /tmp/bin/rtgtctl --bus "$bus_address" "$@"; }

# stop_rtgtd: it must end by itself, with status 0.
stop_rtgtd() {
	kill -TERM "$daemon"
	wait "$daemon" || fail "rtgtd ended with $?"
	daemon=
}

# new_disks COMMAND...: runs it; the disks that appear are in $disks (sdX ...), once they have a size.
# disks_expected=N: waits for so many.
new_disks() {
	local before n=0 disk
	before=" $(cd /sys/block && echo sd*) "
	"$@" || return
	for _ in $(seq 150); do
		disks= n=0
		for disk in $(cd /sys/block && echo sd*); do
			case $before in *" $disk "*) continue ;; esac
			[ -b "/dev/$disk" ] && [ "$(cat "/sys/block/$disk/size")" != 0 ] || continue
			disks+=" $disk" n=$((n + 1))
		done
		[ $n -lt "${disks_expected:-1}" ] || { disks=${disks# }; return 0; }
		sleep 0.1
	done
	return 1
}

# iscsi_login iser|tcp [IQN [N]]: a session of the kernel's initiator through network N (0); its disks in $disks.
iscsi_login() {
	local transport=$1 name=${2:-$iqn} portal=10.9.${3:-0}.1:3260
	[ "$transport" = iser ] && portal=${portal%0}1
	iscsiadm -m node -T "$name" -p "$portal,1" -I "${transport/tcp/default}" -o new >/dev/null || return
	new_disks iscsiadm -m node -T "$name" -p "$portal,1" -I "${transport/tcp/default}" -l
}
# iscsi_login_again SID: one more session like this one; its disks in $disks.
iscsi_login_again() { new_disks iscsiadm -m session -r "$1" -o new; }
iscsi_logout() { iscsiadm -m node -T "${1:-$iqn}" -u && iscsiadm -m node -T "${1:-$iqn}" -o delete; }

# start_srp [PARAMETER=VALUE...]: the kernel's SRP initiator, with these module parameters.
start_srp() {
	if [ -d /sys/module/ib_srp ]; then modprobe -r ib_srp || return; fi
	modprobe -a sd_mod sg && modprobe ib_srp "$@"
	wait_for 5 sh -c 'ls /sys/class/infiniband_srp/*/add_target' || die "no ib_srp"
}

# srp_login [,OPTION=VALUE... [N]]: a session of the kernel's initiator with $iqn through network N (0); its disks
# in $disks.
srp_login() {
	local port n=${2:-0} by=rxe
	port=$(srp_port) || return
	[ ! -e "/sys/class/infiniband/rxi$n" ] || by=rxi
	new_disks sh -c "echo $port,dest=10.9.$n.1:5555${1:-} >/sys/class/infiniband_srp/srp-$by$n-1/add_target"
}
# The target port as add_target wants it; of the only target.
srp_port() {
	ctl --json target list | tr -d ' \n' | grep -o '"srp","[a-z_]*","[0-9a-f]*"' |
		sed 's/"srp","\(.*\)","\(.*\)"/\1=\2/' | paste -sd,
}
srp_logout() {
	local port
	for port in /sys/class/srp_remote_ports/port-*; do
		[ ! -e "$port/delete" ] || echo 1 >"$port/delete"
	done
	wait_for 20 no_srp_ports
}
no_srp_ports() { ! ls -d /sys/class/srp_remote_ports/port-* >/dev/null 2>&1; }

# How many sessions the daemon has.
sessions() { ctl --json statistics | sed -n '/"daemon"/,/]/s/.*"Sessions" : \([0-9]*\).*/\1/p'; }
no_sessions() { [ "$(sessions)" = 0 ]; }

# lun_of DISK: the number of the LUN that it is.
lun_of() { readlink "/sys/block/$1/device" | sed 's/.*://'; }
sg_of() { echo "/dev/$(ls "/sys/block/${1##*/}/device/scsi_generic")"; }
lun_of() { ls "/sys/block/${1##*/}/device/scsi_disk" | cut -d: -f4; }

# fio_verify DISK [MB]: random mixed sizes, checked by checksums.
fio_verify() {
	fio --name=verify --filename="/dev/$1" --direct=1 --ioengine=libaio --iodepth=32 \
		--rw=randwrite --bsrange=512-4m --blockalign=512 --size="${2:-32}M" --verify=crc32c --do_verify=1 \
		--verify_fatal=1 --verify_dump=0 --output-format=terse >/job/fio.out 2>&1 ||
		{ tail -n 5 /job/fio.out; return 1; }
}

# fio_verify_all MB DISK...: the same over all of them at once, small blocks as many as large ones, every pass other
# data in other places.
fio_verify_all() {
	local mb=$1 jobs=() disk; shift
	for disk; do jobs+=(--name="${disk##*/}" --filename="/dev/$disk"); done
	fio --direct=1 --ioengine=libaio --iodepth=32 --rw=randwrite --blockalign=512 --size="${mb}M" --allrandrepeat=0 \
		--bssplit=512/25:1536/5:4k/20:12k/10:64k/15:200k/10:512k/5:1m/5:4m/5 --verify=crc32c --do_verify=1 \
		--verify_fatal=1 --verify_dump=0 --output-format=terse "${jobs[@]}" >"/job/fio.$BASHPID" 2>&1 &&
		{ rm -f "/job/fio.$BASHPID"; return; }
	tail -n 5 "/job/fio.$BASHPID"
	return 1
}

# load_begin MB DISK...: runs fio_verify_all again and again; load_passes: how often it was done; load_end: lets it
# finish its pass, fails when one of them did.
load_begin() {
	rm -f /tmp/load.end
	echo 0 >/tmp/load.passes
	load_disks=${*:2}
	(
		n=0
		while [ ! -e /tmp/load.end ]; do
			fio_verify_all "$@" || exit 1
			n=$((n + 1))
			echo $n >/tmp/load.passes
		done
	) &
	load=$!
}
load_passes() { cat /tmp/load.passes; }
load_end() {
	: >/tmp/load.end
	wait "$load" && say "$(load_passes) verified passes over $load_disks"
}
passed_since() { [ "$(load_passes)" -ge $(($1 + 2)) ] || ! kill -0 "$load"; }
# load_goes_on SECONDS: until a whole pass has been made, begun after now.
load_goes_on() { wait_for "$1" passed_since "$(load_passes)" && kill -0 "$load" 2>/dev/null; }

# moves SECONDS DISK...: each of them completes a read or write after now.
moves() {
	local seconds=$1 disk before; shift
	declare -A before
	for disk; do before[$disk]=$(completed "$disk"); done
	for disk; do wait_for "$seconds" completed_more "$disk" "${before[$disk]}" || return; done
}
completed() { awk '{ print $1 + $5 }' "/sys/block/${1##*/}/stat"; }
completed_more() { [ "$(completed "$1")" -gt "$2" ]; }

# write_conf <<lun groups: TCP on 3260, iSER on 3261, SRP on 5555; listen=ADDRESS: not at $ip.
write_conf() {
	cat >/tmp/rtgt.conf <<TXT
[daemon]
state-dir=/tmp/state
[iscsi]
listen=${listen:-$ip}:3260
[iser]
listen=${listen:-$ip}:3261
[srp]
listen=${listen:-$ip}:5555
[target $iqn]
transports=iscsi;iser;srp
allow=all
TXT
	cat >>/tmp/rtgt.conf
}
