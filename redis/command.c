/* SPDX-License-Identifier: ISC */
/* The words of one command to Redis. */
#include "redis/command.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/channel.h"

#define BUILT_SIZE (64 + 16 + CHANNEL_LEN_MAX + 1) /* prefix, kind, channel */

int
command_init(
    struct command *c, const char *prefix, size_t words_max, size_t built_max)
{
	memset(c, 0, sizeof(*c));
	c->prefix = prefix;
	c->words_max = words_max;
	c->built_max = built_max * BUILT_SIZE;
	c->argv = calloc(words_max, sizeof(*c->argv));
	c->lens = calloc(words_max, sizeof(*c->lens));
	c->built = malloc(c->built_max);
	return c->argv == NULL || c->lens == NULL || c->built == NULL ? -1 : 0;
}

void
command_free(struct command *c)
{
	free(c->argv);
	free(c->lens);
	free(c->built);
	memset(c, 0, sizeof(*c));
}

void
command_add(struct command *c, const char *p, size_t len)
{
	assert((size_t)c->argc < c->words_max);
	c->argv[c->argc] = p;
	c->lens[c->argc++] = len;
}

void
command_add_text(struct command *c, const char *text)
{
	command_add(c, text, strlen(text));
}

/* The word of len bytes that was just built becomes one of c's. */
static void
add_built(struct command *c, int len)
{
	assert(len > 0 && (size_t)len < c->built_max - c->built_len);
	command_add(c, c->built + c->built_len, (size_t)len);
	c->built_len += (size_t)len + 1;
}

void
command_add_number(struct command *c, uint64_t n)
{
	add_built(
	    c, snprintf(c->built + c->built_len, c->built_max - c->built_len,
		   "%llu", (unsigned long long)n));
}

void
command_add_name(struct command *c, const char *kind, const char *channel)
{
	add_built(
	    c, snprintf(c->built + c->built_len, c->built_max - c->built_len,
		   "%s%s%s", c->prefix, kind, channel));
}

void
command_fix(struct command *c)
{
	c->fixed_argc = c->argc;
	c->fixed_len = c->built_len;
}

void
command_rewind(struct command *c)
{
	c->argc = c->fixed_argc;
	c->built_len = c->fixed_len;
}
