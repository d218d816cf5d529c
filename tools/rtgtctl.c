/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgtctl: manages rtgtd from a shell. */
#include "tools/ctl/ctl.h"

int main(int argc, char **argv)
{
    return ctl_main(argc, argv);
}
