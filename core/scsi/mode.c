/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode parameters: telling them, and changing what can be changed. */
#include "core/scsi/mode.h"

#include "core/base/bytes.h"
#include "core/scsi/mode_pages.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

#define MODE_MAX 512

enum { ALL_PAGES = 0x3f, ALL_SUBPAGES = 0xff };
enum { DBD = 0x08, LLBAA = 0x10, PF = 0x10, SP = 0x01 };
enum { WRITE_PROTECTED = 0x80, DPOFUA = 0x10, LONG_LBA = 0x01 };

/* The two forms of the mode parameter header (SPC-4 7.5.5). */
typedef struct {
    unsigned len, device_byte;
} Header;

static const Header header_6 = {4, 2}, header_10 = {8, 3};

static bool is_6(const Task *task)
{
    return task->cdb[0] < 0x20;
}

/* --- MODE SENSE ------------------------------------------------------------------------------- */

static unsigned short_block_descriptor(const Lun *lun, uint8_t *p)
{
    put_be32(p, (uint32_t)MIN(lun_blocks(lun), UINT32_MAX));
    put_be24(p + 5, lun->spec.block_size);
    return 8;
}

static unsigned long_block_descriptor(const Lun *lun, uint8_t *p)
{
    put_be64(p, lun_blocks(lun));
    put_be32(p + 12, lun->spec.block_size);
    return 16;
}

static unsigned block_descriptor(const Task *task, uint8_t *p)
{
    if (task->cdb[1] & DBD)
        return 0;
    if (!is_6(task) && (task->cdb[1] & LLBAA))
        return long_block_descriptor(task_lun(task), p);
    return short_block_descriptor(task_lun(task), p);
}

static bool selected(const ModePage *page, uint8_t code, uint8_t subcode)
{
    return (code == ALL_PAGES || code == page->code) &&
           (subcode == ALL_SUBPAGES || subcode == page->subcode);
}

/* Of "all pages", the subpages are none or all. */
static bool reserved_subpage(const Task *task)
{
    uint8_t code = task->cdb[2] & 0x3f, subcode = task->cdb[3];
    return code == ALL_PAGES && subcode != 0 && subcode != ALL_SUBPAGES;
}

static unsigned sense_pages(const Task *task, uint8_t *p)
{
    ModeControl control = task->cdb[2] >> 6;
    unsigned n = 0;
    if (reserved_subpage(task))
        return 0;
    for (unsigned i = 0; i < mode_pages_count; i++)
        if (selected(&mode_pages[i], task->cdb[2] & 0x3f, task->cdb[3]))
            n += mode_page_write(&mode_pages[i], task_lun(task), control, p + n);
    return n;
}

static void put_header(const Task *task, uint8_t *p, unsigned total, unsigned descriptor)
{
    const Header *header = is_6(task) ? &header_6 : &header_10;
    p[header->device_byte] = DPOFUA | (lun_write_protected(task_lun(task)) ? WRITE_PROTECTED : 0);
    if (is_6(task)) {
        p[0] = (uint8_t)(total - 1);
        p[3] = (uint8_t)descriptor;
    } else {
        put_be16(p, (uint16_t)(total - 2));
        p[4] = descriptor == 16 ? LONG_LBA : 0;
        put_be16(p + 6, (uint16_t)descriptor);
    }
}

static unsigned mode_data(Task *task, uint8_t *p)
{
    unsigned n = is_6(task) ? header_6.len : header_10.len;
    unsigned descriptor = block_descriptor(task, p + n);
    n += descriptor;
    unsigned pages = sense_pages(task, p + n);
    if (pages == 0) {
        uint8_t code = task->cdb[2] & 0x3f;
        if (code == ALL_PAGES || mode_page_code_known(code))
            task_fail_cdb(task, 3, 7);
        else
            task_fail_cdb(task, 2, 5);
        return 0;
    }
    n += pages;
    put_header(task, p, n, descriptor);
    return n;
}

static void mode_sense(Task *task, uint32_t allocation_length)
{
    if (task->cdb[2] >> 6 == MODE_SAVED && !mode_can_save(task_lun(task)))
        task_fail(task, SENSE_SAVING_NOT_SUPPORTED);
    else
        reply(task, MODE_MAX, allocation_length, mode_data);
}

void mode_sense_6_run(Task *task)
{
    mode_sense(task, task->cdb[4]);
}

void mode_sense_10_run(Task *task)
{
    mode_sense(task, get_be16(task->cdb + 7));
}

/* --- MODE SELECT ------------------------------------------------------------------------------ */

/* The parameter list while it is looked at. */
typedef struct {
    Task *task;
    const uint8_t *data;
    ByteReader reader;
    ModeValues before, values; /* the current ones, and what the pages make of them */
    bool failed;
} List;

static int at(const List *list, const uint8_t *p)
{
    return (int)(p - list->data);
}

static void list_fail(List *list, const uint8_t *p, int bit)
{
    list->failed = true;
    task_fail_parameter(list->task, at(list, p), bit);
}

static void list_short(List *list)
{
    list->failed = true;
    task_fail(list->task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
}

/* The size of medium and block can be told, but not changed. */
static void check_block_descriptor(List *list, unsigned len)
{
    const Lun *lun = task_lun(list->task);
    const uint8_t *p = byte_reader_take(&list->reader, len);
    if (!p) {
        list_short(list);
        return;
    }
    uint64_t blocks = len == 16 ? get_be64(p) : get_be32(p);
    uint32_t size = len == 16 ? get_be32(p + 12) : get_be24(p + 5);
    bool all = len == 8 && blocks == UINT32_MAX;
    if (blocks != 0 && !all && blocks != lun_blocks(lun))
        list_fail(list, p, 7);
    else if (size != lun->spec.block_size)
        list_fail(list, p + (len == 16 ? 12 : 5), 7);
}

static void check_header(List *list)
{
    const Header *header = is_6(list->task) ? &header_6 : &header_10;
    const uint8_t *p = byte_reader_take(&list->reader, header->len);
    if (!p) {
        list_short(list);
        return;
    }
    bool long_lba = !is_6(list->task) && (p[4] & LONG_LBA);
    unsigned len = is_6(list->task) ? p[3] : get_be16(p + 6);
    if (len == 0)
        return;
    if (len == (long_lba ? 16 : 8))
        check_block_descriptor(list, len);
    else
        list_fail(list, p + header->len - 1, 7);
}

/* Every bit that cannot be changed must be as it is. */
static void check_page_bits(List *list, const ModePage *page, const uint8_t *p)
{
    uint8_t now[MODE_PAGE_MAX];
    mode_page_write(page, task_lun(list->task), MODE_CURRENT, now);
    for (unsigned i = page->subcode ? 4 : 2; i < page->len; i++) {
        uint8_t wrong = (p[i] ^ now[i]) & ~page->changeable[i];
        if (wrong) {
            list_fail(list, p + i, 31 - __builtin_clz(wrong));
            return;
        }
    }
}

static void take_page(List *list)
{
    const uint8_t *p = list->reader.at;
    size_t left = byte_reader_left(&list->reader);
    bool sub = p[0] & 0x40;
    if (left < (sub ? 4 : 2)) {
        list_short(list);
        return;
    }
    const ModePage *page = mode_page_find(p[0] & 0x3f, sub ? p[1] : 0);
    unsigned len = sub ? get_be16(p + 2) + 4u : p[1] + 2u;
    if (!page || (p[0] & 0x80))
        list_fail(list, p, page ? 7 : 5);
    else if (len != page->len)
        list_fail(list, p + (sub ? 2 : 1), 7);
    else if (!byte_reader_take(&list->reader, len))
        list_short(list);
    else
        check_page_bits(list, page, p);
    if (!list->failed && page->take)
        page->take(&list->values, p);
}

static void complete_selection(Task *task)
{
    if (task->cdb[1] & SP)
        mode_save_and_complete(task);
    else
        task_complete(task, NULL);
}

static void selection_done(Transfer *t)
{
    Task *task = t->task;
    transfer_end(t);
    complete_selection(task);
}

/* What was written while the cache was on is made safe before the initiator is told that it is off.
 */
static void apply_selection(Transfer *t, const ModeValues *before, const ModeValues *values)
{
    Task *task = t->task;
    Lun *lun = task_lun(task);
    mode_apply(lun, before, values);
    if (!mode_values_equal(*before, *values))
        lun_attention(lun, SENSE_MODE_PARAMETERS_CHANGED, task->itl);
    if (before->write_cache && !values->write_cache && !lun->spec.read_only)
        transfer_store(t, AIO_FLUSH, 0, 0, 0, NULL, 0, selection_done);
    else
        selection_done(t);
}

static void select_fetched(Transfer *t)
{
    Task *task = t->task;
    const uint8_t *data = parameter_data(t);
    List list = {.task = task, .data = data, .reader = byte_reader(data, t->len)};
    list.before = list.values = mode_values(task_lun(task), MODE_CURRENT);
    task->busy++; /* a failure ends t, and with it the data, but not yet the task */
    check_header(&list);
    while (!list.failed && byte_reader_left(&list.reader) > 0)
        take_page(&list);
    if (!list.failed)
        apply_selection(t, &list.before, &list.values);
    task_unbusy(task);
}

static void mode_select(Task *task, uint32_t length)
{
    if (!(task->cdb[1] & PF))
        task_fail_cdb(task, 1, 4);
    else if ((task->cdb[1] & SP) && !mode_can_save(task_lun(task)))
        task_fail_cdb(task, 1, 0);
    else if (length == 0)
        complete_selection(task);
    else
        parameter_fetch(task, length, select_fetched);
}

void mode_select_6_run(Task *task)
{
    mode_select(task, task->cdb[4]);
}

void mode_select_10_run(Task *task)
{
    mode_select(task, get_be16(task->cdb + 7));
}
