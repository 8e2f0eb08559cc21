/* SPDX-License-Identifier: ISC */
/* FastCGI 1.0, 3.3: version, type, request id, lengths of content and padding. */
#include "carrier/fcgi_record.h"

#include <string.h>

#define VERSION 1
#define TYPE_END_REQUEST 3
#define TYPE_STDOUT 6

static void
put_head(unsigned char *head, unsigned char type, uint16_t request_id,
    size_t content_len)
{
	memset(head, 0, FCGI_RECORD_HEAD_LEN);
	head[0] = VERSION;
	head[1] = type;
	head[2] = (unsigned char)(request_id >> 8);
	head[3] = (unsigned char)request_id;
	head[4] = (unsigned char)(content_len >> 8);
	head[5] = (unsigned char)content_len;
}

void
fcgi_record_put_head(unsigned char head[FCGI_RECORD_HEAD_LEN],
    uint16_t request_id, size_t content_len)
{
	put_head(head, TYPE_STDOUT, request_id, content_len);
}

size_t
fcgi_record_content_len(const unsigned char head[FCGI_RECORD_HEAD_LEN])
{
	return (size_t)head[4] << 8 | head[5];
}

void
fcgi_record_put_end(unsigned char end[FCGI_RECORD_END_LEN], uint16_t request_id)
{
	unsigned char *end_request = end + FCGI_RECORD_HEAD_LEN;

	memset(end, 0, FCGI_RECORD_END_LEN);
	put_head(end, TYPE_STDOUT, request_id, 0);
	put_head(end_request, TYPE_END_REQUEST, request_id, 8);
}
