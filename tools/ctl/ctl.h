/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgtctl without its main(). */
#pragma once

/* What the program returns. */
enum {
    CTL_DONE = 0,
    CTL_FAILED = 1,    /* the daemon refused */
    CTL_USAGE = 2,     /* wrong command line */
    CTL_NO_DAEMON = 3, /* rtgtd is not there */
    CTL_NOT_FOUND = 4, /* no such target, LUN or session */
    CTL_INTERRUPTED = 130,
};

int ctl_main(int argc, char **argv);
