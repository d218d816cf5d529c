/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults to inject, and the counts that trigger them. */
#pragma once

#include "tools/softverbs/sv.h"

struct sv_fault {
    _Atomic bool on;
    _Atomic uint64_t disconnect_after, wc_error_every, delay_us, rnr_every, mr_fail_after,
        devgone_after;
    uint64_t seed;
    _Atomic uint64_t wrs, sends, mrs, rng;
};

/* Takes "name=N,..." for the faults from now on. */
void sv_fault_parse(const char *s);
/* Reads the fault file again if it has changed. CM thread. */
void sv_fault_poll(const char *path);
/* True for every Nth call; with a seed, for a random one in N. */
bool sv_fault_every(_Atomic uint64_t *every, uint64_t count);
