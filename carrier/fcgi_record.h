/* SPDX-License-Identifier: ISC */
/* Bytes of FastCGI records, where libfcgi cannot write them.  Pure. */
#ifndef FCGI_RECORD_H
#define FCGI_RECORD_H

#include <stddef.h>
#include <stdint.h>

#define FCGI_RECORD_HEAD_LEN 8
#define FCGI_RECORD_CONTENT_MAX 65535
#define FCGI_RECORD_END_LEN 24

/* The head of a record of type STDOUT that carries content_len bytes. */
void fcgi_record_put_head(unsigned char head[FCGI_RECORD_HEAD_LEN],
    uint16_t request_id, size_t content_len);

/* How long is the content that follows this head? */
size_t fcgi_record_content_len(const unsigned char head[FCGI_RECORD_HEAD_LEN]);

/* The end of an answer: of STDOUT, and END_REQUEST with status 0. */
void fcgi_record_put_end(
    unsigned char end[FCGI_RECORD_END_LEN], uint16_t request_id);

#endif
