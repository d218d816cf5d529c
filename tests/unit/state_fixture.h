/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A state directory for tests of what outlives a LUN. */
#pragma once

#include "core/base/state_dir.h"

typedef struct {
    char *path;
    StateDir *dir;
} StateFixture;

void state_fixture_open(StateFixture *fixture);
void state_fixture_close(StateFixture *fixture); /* removes everything */
