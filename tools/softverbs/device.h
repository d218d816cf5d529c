/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device's entries in the table of a context. */
#pragma once

#include "tools/softverbs/sv.h"

int sv_query_port(struct ibv_context *c, uint8_t port, struct ibv_port_attr *attr, size_t len);
int sv_query_device_ex(struct ibv_context *c, const struct ibv_query_device_ex_input *in,
                       struct ibv_device_attr_ex *attr, size_t size);
int sv_query_rt_values(struct ibv_context *c, struct ibv_values_ex *v);
