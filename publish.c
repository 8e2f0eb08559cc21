/* SPDX-License-Identifier: ISC */
/* The words of a call of publish.lua. */
#include "publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "lua_publish.h"
#include "parse.h"

#define NAME_SIZE (64 + 16 + CHANNEL_LEN_MAX + 1)

struct words {
	const char **argv; /* owned */
	size_t *lens;	   /* owned */
	int argc;
	char *at; /* where the next built name goes */
};

static void
add(struct words *w, const char *p, size_t len)
{
	w->argv[w->argc] = p;
	w->lens[w->argc++] = len;
}

static void
add_name(
    struct words *w, const char *prefix, const char *kind, const char *channel)
{
	int len = snprintf(w->at, NAME_SIZE, "%s%s%s", prefix, kind, channel);

	add(w, w->at, (size_t)len);
	w->at += len + 1;
}

static void
add_keys(
    struct words *w, const char *prefix, const struct channel_set *channels)
{
	size_t i;
	int len = snprintf(w->at, NAME_SIZE, "%zu", 4 + 2 * channels->n);

	add(w, w->at, (size_t)len);
	w->at += len + 1;
	add_name(w, prefix, "clock", "");
	add_name(w, prefix, "epoch", "");
	add_name(w, prefix, "limits", "");
	add_name(w, prefix, "recorder", "");
	for (i = 0; i < channels->n; i++) {
		add_name(w, prefix, "history:", channels->items[i].name);
		add_name(w, prefix, "meta:", channels->items[i].name);
	}
}

int
publish_append(struct redis_conn *c, const char *prefix,
    const struct channel_set *channels, const char *frame, size_t frame_len,
    const struct publish_lease *lease)
{
	const size_t nwords = 1 + 4 + 2 * channels->n + 5 + channels->n;
	char *names = malloc((6 + 2 * channels->n) * NAME_SIZE);
	struct words w = { calloc(nwords, sizeof(*w.argv)),
		calloc(nwords, sizeof(*w.lens)), 0, names };
	char seq[24] = "";
	int failed = -1;
	size_t i;

	if (names == NULL || w.argv == NULL || w.lens == NULL)
		goto out;
	if (lease != NULL)
		snprintf(
		    seq, sizeof(seq), "%llu", (unsigned long long)lease->seq);
	add_keys(&w, prefix, channels);
	add_name(&w, prefix, "event:", "");
	add(&w, lease != NULL ? "r" : "p", 1);
	add(&w, lease != NULL ? lease->token : "",
	    lease != NULL ? strlen(lease->token) : 0);
	add(&w, seq, strlen(seq));
	add(&w, frame, frame_len);
	for (i = 0; i < channels->n; i++)
		add(&w, channels->items[i].name, channels->items[i].len);
	failed =
	    redis_conn_append_script(c, &lua_publish, w.argc, w.argv, w.lens);
out:
	free(w.argv);
	free(w.lens);
	free(names);
	return failed;
}

int
publish_error_passes(const char *text)
{
	static const char *const passing[] = { "OOM", "READONLY", "LOADING",
		"MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN",
		"CLUSTERDOWN", "NOSCRIPT" };
	size_t i, len = strcspn(text, " ");
	const char *at;

	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strlen(passing[i]) == len &&
		    strncmp(text, passing[i], len) == 0)
			return 1;
	/* Redis before 7 wraps an error within a script: "ERR Error running
	 * script ...: -OOM command not allowed ..." */
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if ((at = strstr(text, passing[i])) != NULL && at > text &&
		    at[-1] == '-')
			return 1;
	return 0;
}
