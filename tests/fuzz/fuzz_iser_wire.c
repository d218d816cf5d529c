/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iSER: private data of the connection manager, headers, and the PDUs behind them. */
#include "iser/iscsi/pdu.h"
#include "iser/rdma/wire.h"
#include "tests/fuzz/fuzz.h"

static void check_part(const uint8_t *part, size_t len, const uint8_t *message, size_t size)
{
    if (len > 0)
        g_assert(part >= message && part + len <= message + size);
    fuzz_touch(part, len);
}

static void decode_message(const uint8_t *message, size_t size)
{
    IserMessage out;
    if (iser_message_decode(message, size, &out))
        return;
    check_part(out.bhs, ISCSI_BHS_LEN, message, size);
    check_part(out.ahs, out.ahs_len, message, size);
    check_part(out.data, out.data_len, message, size);
    PduAhs ahs;
    if (pdu_decode_ahs(out.ahs, out.ahs_len, &ahs))
        check_part(ahs.extended_cdb, ahs.extended_cdb_len, out.ahs, out.ahs_len);
    uint8_t response[ISCSI_BHS_LEN];
    iser_response_from_data_in(out.bhs, response);
    fuzz_touch(response, sizeof response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    IserCm cm;
    uint8_t reply[ISER_CM_LEN];
    if (!iser_cm_decode(data, size, &cm))
        iser_cm_encode(&cm, reply);
    IserHeader header;
    bool decoded = iser_header_decode(data, size, &header);
    g_assert(decoded == (size >= ISER_HEADER_LEN));
    if (decoded)
        g_assert((header.write_valid || !header.write_stag) &&
                 (header.read_valid || !header.read_stag));
    decode_message(data, size);
    return 0;
}
