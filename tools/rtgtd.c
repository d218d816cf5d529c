/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgtd: the daemon, with the transports there are. */
#include "core/daemon/daemon.h"
#include "iser/rdma/transport.h"
#include "iser/tcp/transport.h"
#include "srp/transport.h"

int main(int argc, char **argv)
{
    static const Transport *const transports[] = {&iscsi_transport, &iser_transport, &srp_transport,
                                                  NULL};
    return daemon_main(argc, argv, transports);
}
