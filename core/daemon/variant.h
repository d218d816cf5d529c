/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An engine with its options, as an experiment tries it: "ENGINE[:OPTION=VALUE]...", where mode is
 * an option like those of the engine. */
#pragma once

#include "core/daemon/exchange.h"

typedef struct {
    char *text; /* as it was given */
    char *engine;
    char *mode;            /* NULL: that of the LUN */
    char **keys, **values; /* options of the engine; NULL-terminated */
} Variant;

/* NULL with error (MANAGER_ERROR) that says what is wrong with it. Whether a LUN can have it, is
 * seen when it is tried. */
Variant *variant_parse(const char *text, GError **error);
/* What is asked for, with its mode. */
Variant *variant_of(const ExchangeRequest *request);
void variant_free(Variant *variant); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Variant, variant_free)

/* The request lives as long as the variant. */
ExchangeRequest variant_request(const Variant *variant);
