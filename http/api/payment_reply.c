#include "core/clock.h"
#include "http/api/payment_id.h"
#include "http/api/payment_reply_private.h"

void payment_reply_begin(struct payment_reply *reply, const struct payment_call *call,
                         uint16_t status)
{
    reply->status = status;
    reply->length_unknown = false;
    reply->timing = payment_call_timing(call, clock_mono_us());
    buf_init(&reply->headers, reply->header_storage, sizeof(reply->header_storage));
    buf_init(&reply->body, reply->body_storage, sizeof(reply->body_storage));
    payment_answer_write_headers(&reply->headers, &reply->timing);
}

void payment_reply_add_location(struct payment_reply *reply, const struct uuid7 *txn_id)
{
    buf_add(&reply->headers, SPAN("Location: " PAYMENT_API_PATH "/"));
    payment_id_add(&reply->headers, txn_id);
    buf_add(&reply->headers, SPAN("\r\n"));
}

void payment_reply_send(struct payment_reply *reply, struct payment_call *call)
{
    CHECK(!reply->headers.overflow);
    CHECK(!reply->body.overflow);
    http_respond(payment_call_end(call), &(struct http_response){
                                             .status = reply->status,
                                             .content_type = SPAN("application/json"),
                                             .headers = buf_span(&reply->headers),
                                             .body = buf_span(&reply->body),
                                             .length_unknown = reply->length_unknown,
                                         });
}
