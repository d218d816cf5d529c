#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes ./configure from configure.ac.
set -e
cd "$(dirname "$0")"
command -v autoreconf >/dev/null || {
	echo "autogen.sh: autoreconf not found; install the Debian packages autoconf automake libtool pkg-config" >&2
	exit 1
}
exec autoreconf --install --force --warnings=all,no-portability
