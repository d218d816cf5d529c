/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log pages as a table, and their counters set to zero. */
#include "core/scsi/log_sense.h"

#include "core/base/bytes.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"

#include <string.h>

#define LOG_MAX 256
#define HEADER  4

enum { DS = 0x80, SPF = 0x40, ALL_SUBPAGES = 0xff };
enum { COUNTER = 0x22, BINARY_LIST = 0x23 }; /* TSD, and a counter without bounds, or a list */
enum { CUMULATIVE = 1, DEFAULT_CUMULATIVE = 3 };
enum { WRITE_ERRORS = 0x02, READ_ERRORS = 0x03 }; /* codes of pages */

typedef struct {
    uint8_t code, subcode;
    uint16_t last_parameter;
    bool counters; /* of which there are current and default values, but no thresholds */
    /* Writes the parameters from `first` on, returns their length. */
    unsigned (*build)(const Task *task, uint16_t first, uint8_t *p);
} LogPage;

static unsigned supported(const Task *task, uint16_t first, uint8_t *p);
static unsigned supported_subpages(const Task *task, uint16_t first, uint8_t *p);

static uint8_t *put_parameter(uint8_t *p, uint16_t code, uint8_t control, uint8_t len)
{
    put_be16(p, code);
    p[2] = control;
    p[3] = len;
    return p + 4;
}

/* --- error counters: parameters 0 to 4 are of errors that were corrected, of which the store tells
 * nothing; 5 are bytes, 6 errors that were not ---------------------------------------------------
 */

enum { TOTAL_BYTES = 5, TOTAL_UNCORRECTED = 6 };

static unsigned put_counters(const Task *task, uint16_t first, uint64_t bytes, uint64_t errors,
                             uint8_t *p)
{
    bool current = task->cdb[2] >> 6 == CUMULATIVE;
    unsigned n = 0;
    for (uint16_t code = first; code <= TOTAL_UNCORRECTED; code++, n += 12) {
        uint64_t value = code == TOTAL_BYTES ? bytes : code == TOTAL_UNCORRECTED ? errors : 0;
        put_be64(put_parameter(p + n, code, COUNTER, 8), current ? value : 0);
    }
    return n;
}

/* Since the LUN was opened; LOG SELECT changes what initiators see of them, and nothing else. */
static LogCounters count_since_open(Lun *lun, LogCounted what)
{
    LunStats stats;
    lun_get_stats(lun, &stats);
    return what == LOG_WRITES ? (LogCounters){stats.write_bytes, stats.write_errors}
                              : (LogCounters){stats.read_bytes, stats.read_errors};
}

static unsigned put_since_reset(const Task *task, LogCounted what, uint16_t first, uint8_t *p)
{
    Lun *lun = task_lun(task);
    LogCounters now = count_since_open(lun, what);
    pthread_mutex_lock(&lun->lock);
    LogCounters then = lun->log_zero[what];
    pthread_mutex_unlock(&lun->lock);
    return put_counters(task, first, now.bytes - then.bytes, now.errors - then.errors, p);
}

static void reset_counters(Lun *lun, LogCounted what)
{
    LogCounters now = count_since_open(lun, what);
    pthread_mutex_lock(&lun->lock);
    lun->log_zero[what] = now;
    pthread_mutex_unlock(&lun->lock);
}

static unsigned write_errors(const Task *task, uint16_t first, uint8_t *p)
{
    return put_since_reset(task, LOG_WRITES, first, p);
}

static unsigned read_errors(const Task *task, uint16_t first, uint8_t *p)
{
    return put_since_reset(task, LOG_READS, first, p);
}

/* --- the others ------------------------------------------------------------------------------- */

/* No endurance is known to be used up. */
static unsigned solid_state_media(const Task *task, uint16_t first, uint8_t *p)
{
    (void)task, (void)first;
    put_parameter(p, 1, BINARY_LIST, 4);
    return 8;
}

static unsigned informational_exceptions(const Task *task, uint16_t first, uint8_t *p)
{
    enum { TEMPERATURE_UNKNOWN = 0xff };
    (void)task, (void)first;
    put_parameter(p, 0, BINARY_LIST, 4)[2] = TEMPERATURE_UNKNOWN;
    return 8;
}

static const LogPage pages[] = {
    {0x00, 0x00, UINT16_MAX, false, supported},
    {0x00, ALL_SUBPAGES, UINT16_MAX, false, supported_subpages},
    {WRITE_ERRORS, 0x00, TOTAL_UNCORRECTED, true, write_errors},
    {READ_ERRORS, 0x00, TOTAL_UNCORRECTED, true, read_errors},
    {0x11, 0x00, 1, false, solid_state_media},
    {0x2f, 0x00, 0, false, informational_exceptions},
};

static unsigned supported(const Task *task, uint16_t first, uint8_t *p)
{
    unsigned n = 0;
    (void)task, (void)first;
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
        if (pages[i].subcode == 0)
            p[n++] = pages[i].code;
    return n;
}

static unsigned supported_subpages(const Task *task, uint16_t first, uint8_t *p)
{
    (void)task, (void)first;
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        p[2 * i] = pages[i].code;
        p[2 * i + 1] = pages[i].subcode;
    }
    return 2 * G_N_ELEMENTS(pages);
}

/* --- LOG SENSE ------------------------------------------------------------------------------ */

static const LogPage *find_page(const Task *task)
{
    uint8_t code = task->cdb[2] & 0x3f, subcode = task->cdb[3];
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
        if (pages[i].code == code && pages[i].subcode == subcode)
            return &pages[i];
    return NULL;
}

static bool code_known(uint8_t code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
        if (pages[i].code == code)
            return true;
    return false;
}

static void fail_unknown_page(Task *task)
{
    if (code_known(task->cdb[2] & 0x3f))
        task_fail_cdb(task, 3, 7);
    else
        task_fail_cdb(task, 2, 5);
}

static unsigned log_data(Task *task, uint8_t *p)
{
    const LogPage *page = find_page(task);
    unsigned len = page->build(task, get_be16(task->cdb + 5), p + HEADER);
    p[0] = page->code | (page->subcode ? SPF : 0) | (page->counters ? DS : 0);
    p[1] = page->subcode;
    put_be16(p + 2, (uint16_t)len);
    return HEADER + len;
}

void log_sense_run(Task *task)
{
    const uint8_t *cdb = task->cdb;
    const LogPage *page = find_page(task);
    unsigned control = cdb[2] >> 6;
    if (!page)
        fail_unknown_page(task);
    else if (page->counters && control != CUMULATIVE && control != DEFAULT_CUMULATIVE)
        task_fail_cdb(task, 2, 7);
    else if (get_be16(cdb + 5) > page->last_parameter)
        task_fail_cdb(task, 5, 7);
    else
        reply(task, LOG_MAX, get_be16(cdb + 7), log_data);
}

/* --- LOG SELECT ------------------------------------------------------------------------------- */

enum { PCR = 0x02 };

/* Page 0 stands for all of them. */
static void reset_pages(Task *task)
{
    uint8_t code = task->cdb[2] & 0x3f;
    if (code == 0x00 || code == WRITE_ERRORS)
        reset_counters(task_lun(task), LOG_WRITES);
    if (code == 0x00 || code == READ_ERRORS)
        reset_counters(task_lun(task), LOG_READS);
    lun_attention(task_lun(task), SENSE_LOG_PARAMETERS_CHANGED, task->itl);
}

/* Parameters can be reset, or all made what they are by default, which is the same; none can be
 * given a value of the initiator's (SPC-4 6.5). */
void log_select_run(Task *task)
{
    const uint8_t *cdb = task->cdb;
    if (get_be16(cdb + 7) != 0) {
        task_fail_cdb(task, 7, 7);
    } else if (!find_page(task)) {
        fail_unknown_page(task);
    } else {
        if ((cdb[1] & PCR) || cdb[2] >> 6 == DEFAULT_CUMULATIVE)
            reset_pages(task);
        task_complete(task, NULL);
    }
}
