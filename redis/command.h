/* SPDX-License-Identifier: ISC */
/*
 * The words of one command to Redis, and the memory of those that are built
 * here.  Pure.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stddef.h>
#include <stdint.h>

struct command {
	int argc;
	const char **argv; /* owned; the words are borrowed or in built */
	size_t *lens;	   /* owned */
	/* the rest is command.c's */
	const char *prefix;
	size_t words_max, built_max;
	char *built; /* owned: built_max names or numbers */
	size_t built_len;
	int fixed_argc;
	size_t fixed_len;
};

/*
 * Make room for that many words, of them that many built ones; more is a bug.
 * prefix, borrowed for c's life, is what names begin with (at most 64 bytes).
 * Returns 0, or -1 without memory; command_free either way.
 */
int command_init(
    struct command *c, const char *prefix, size_t words_max, size_t built_max);
void command_free(struct command *c);

/* One word more: borrowed as long as c holds it. */
void command_add(struct command *c, const char *p, size_t len);
void command_add_text(struct command *c, const char *text);

/* One word more, built: a number, or the name PREFIX KIND CHANNEL. */
void command_add_number(struct command *c, uint64_t n);
void command_add_name(struct command *c, const char *kind, const char *channel);

/* What there is now stays: command_rewind takes back what is added later. */
void command_fix(struct command *c);
void command_rewind(struct command *c);

#endif
