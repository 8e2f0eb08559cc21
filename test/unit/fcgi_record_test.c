/* SPDX-License-Identifier: ISC */
/* fcgi_record.h: the bytes of FastCGI 1.0, 3.3, 5.3 and 5.5. */
#include "carrier/fcgi_record.h"
#include "test/unit/unit.h"

static void
head_is_as_specified(void **state)
{
	/* version 1, STDOUT, the id and the length with the high byte first, no
	 * padding; and the length can be read back */
	static const struct {
		uint16_t id;
		size_t len;
		unsigned char want[FCGI_RECORD_HEAD_LEN];
	} table[] = {
		{ 1, 0, { 1, 6, 0, 1, 0, 0, 0, 0 } },
		{ 1, 1, { 1, 6, 0, 1, 0, 1, 0, 0 } },
		{ 0x1234, 255, { 1, 6, 0x12, 0x34, 0, 255, 0, 0 } },
		{ 255, 256, { 1, 6, 0, 255, 1, 0, 0, 0 } },
		{ 65535, 0xabcd, { 1, 6, 255, 255, 0xab, 0xcd, 0, 0 } },
		{ 256, FCGI_RECORD_CONTENT_MAX,
		    { 1, 6, 1, 0, 255, 255, 0, 0 } },
	};
	unsigned char head[FCGI_RECORD_HEAD_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		memset(head, 0xee, sizeof(head));
		fcgi_record_put_head(head, table[i].id, table[i].len);
		assert_memory_equal(head, table[i].want, sizeof(head));
		assert_int_equal(fcgi_record_content_len(head), table[i].len);
	}
}

static void
end_is_as_specified(void **state)
{
	/* an empty STDOUT, and END_REQUEST: status 0, FCGI_REQUEST_COMPLETE */
	static const unsigned char want[FCGI_RECORD_END_LEN] = { 1, 6, 0x12,
		0x34, 0, 0, 0, 0, 1, 3, 0x12, 0x34, 0, 8, 0, 0 };
	unsigned char end[FCGI_RECORD_END_LEN];

	(void)state;
	memset(end, 0xee, sizeof(end));
	fcgi_record_put_end(end, 0x1234);
	assert_memory_equal(end, want, sizeof(end));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_is_as_specified),
		cmocka_unit_test(end_is_as_specified),
	};

	return cmocka_run_group_tests_name("fcgi_record", tests, NULL, NULL);
}
