/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mode pages of a LUN (SPC-4 7.5, SBC-3 6.5): their bytes, and which of them can be changed. */
#pragma once

#include "core/scsi/lun_impl.h"

#define MODE_PAGE_MAX 32

typedef enum { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED } ModeControl;

typedef struct {
    uint8_t code, subcode;
    uint8_t len;                       /* with the header */
    uint8_t fixed[MODE_PAGE_MAX];      /* values that never change */
    uint8_t changeable[MODE_PAGE_MAX]; /* mask */
    /* Sets the changeable bits of p as they are now, or by default; NULL: there are none. */
    void (*fill)(const Lun *lun, bool current, uint8_t *p);
    /* Makes what p says true. */
    void (*apply)(Lun *lun, const uint8_t *p);
} ModePage;

extern const ModePage mode_pages[]; /* in the order of MODE SENSE's "all pages" */
extern const unsigned mode_pages_count;

/* Writes the page, returns its length. */
unsigned mode_page_write(const ModePage *page, const Lun *lun, ModeControl control, uint8_t *p);
const ModePage *mode_page_find(uint8_t code, uint8_t subcode); /* NULL: none */
