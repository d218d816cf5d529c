/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why the manager does not do what it was asked to. */
#pragma once

#include <glib.h>

typedef enum {
    MANAGER_ERROR_FAILED,        /* it was tried and did not work */
    MANAGER_ERROR_NOT_FOUND,     /* no such object, any more */
    MANAGER_ERROR_INVALID,       /* a name or value that is none */
    MANAGER_ERROR_BUSY,          /* something else goes on, try later */
    MANAGER_ERROR_NOT_SUPPORTED, /* never possible with this object */
} ManagerError;
#define MANAGER_ERRORS 5

#define MANAGER_ERROR manager_error_quark()
GQuark manager_error_quark(void);
