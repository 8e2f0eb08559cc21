/* SPDX-License-Identifier: ISC */
/*
 * fork_floor memory N: what memory does a process cost that was forked and
 * waits on two socket pairs, everything counted?
 * fork_floor wake N ROUNDS: what does it cost here to wake a process?
 *
 * No program that has a process for each stream can do with less.  One line of
 * JSON on standard output.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PROCESSES_MAX = 20000,
	WAKE_MAX = 4000,
	ROUNDS_MAX = 1000,
	SINGLES = 500
};

/* The counters of /proc/meminfo that grow with processes. */
static const char *const counters[] = { "AnonPages", "Shmem", "KernelStack",
	"PageTables", "SUnreclaim" };
enum { COUNTERS = sizeof(counters) / sizeof(counters[0]) };

static pid_t children[PROCESSES_MAX];
static unsigned count;

static unsigned
number(const char *text, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end != '\0' || n == 0 || n > max)
		errx(64, "%s: not a number from 1 to %u", text, max);
	return (unsigned)n;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
end_children(void)
{
	for (unsigned i = 0; i < count; i++)
		kill(children[i], SIGKILL);
	while (count > 0 && waitpid(children[count - 1], NULL, 0) > 0)
		count--;
}

/* Fork a child that ends with its parent; true in the child. */
static bool
fork_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0) {
		warn("fork");
		end_children();
		exit(1);
	}
	if (pid > 0) {
		children[count++] = pid;
		return false;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	return true;
}

/* --- memory */

static void
read_counters(long kb[COUNTERS])
{
	char line[256];
	FILE *f;
	int refresh = open("/proc/sys/vm/stat_refresh", O_WRONLY);

	/* each processor keeps what it has counted to itself for a while */
	if (refresh >= 0) {
		if (write(refresh, "1", 1) < 0)
			warn("stat_refresh");
		close(refresh);
	}
	if ((f = fopen("/proc/meminfo", "r")) == NULL)
		err(1, "/proc/meminfo");
	while (fgets(line, sizeof(line), f) != NULL)
		for (int i = 0; i < COUNTERS; i++) {
			size_t len = strlen(counters[i]);

			if (strncmp(line, counters[i], len) == 0 &&
			    line[len] == ':')
				kb[i] = strtol(line + len + 1, NULL, 10);
		}
	fclose(f);
}

/* A child has both ends of its pairs, so the parent's table of descriptors,
 * which each child gets a copy of, does not grow with them. */
static void
wait_on_two_pairs(int ready)
{
	int pairs[2][2];
	struct pollfd fds[2];

	for (int i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) != 0)
			_exit(1);
		fds[i] = (struct pollfd){ .fd = pairs[i][0], .events = POLLIN };
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	close(ready);
	ppoll(fds, 2, NULL, NULL);
	_exit(0);
}

static void
measure_memory(unsigned n)
{
	long before[COUNTERS] = { 0 }, after[COUNTERS] = { 0 }, sum = 0;
	int ready[2];
	char bytes[1024];

	if (pipe(ready) != 0)
		err(1, "pipe");
	read_counters(before);
	for (unsigned i = 0; i < n; i++)
		if (fork_child())
			wait_on_two_pairs(ready[1]);
	for (unsigned seen = 0; seen < n;) {
		ssize_t got = read(ready[0], bytes, sizeof(bytes));

		if (got <= 0)
			err(1, "children");
		seen += (unsigned)got;
	}
	read_counters(after);
	end_children();
	printf("{\"measure\": \"fork_memory\", \"processes\": %u", n);
	for (int i = 0; i < COUNTERS; i++) {
		sum += after[i] - before[i];
		printf(", \"%s_kb\": %.2f", counters[i],
		    (double)(after[i] - before[i]) / n);
	}
	printf(", \"kb_per_process\": %.1f}\n", (double)sum / n);
}

/* --- wake */

/* What all processes of `wake` see. */
static struct {
	atomic_uint woken;	  /* in this round */
	unsigned wanted;	  /* so many end the round */
	int over;		  /* an eventfd: the round has ended */
	uint64_t at_ns[WAKE_MAX]; /* when each process was awake */
} * shared;

static int ends[WAKE_MAX]; /* the parent's, of each child's pair */

static void
note_each_wake(unsigned me, int fd)
{
	static const uint64_t one = 1;
	char byte;

	while (read(fd, &byte, 1) == 1) {
		shared->at_ns[me] = now_ns();
		if (atomic_fetch_add(&shared->woken, 1) + 1 == shared->wanted &&
		    write(shared->over, &one, sizeof(one)) < 0)
			break;
	}
	_exit(1);
}

static void
start_sleepers(unsigned n)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || (shared->over = eventfd(0, 0)) < 0)
		err(1, NULL);
	for (unsigned i = 0; i < n; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
			err(1, "socketpair");
		if (fork_child())
			note_each_wake(i, pair[1]);
		close(pair[1]);
		ends[i] = pair[0];
	}
}

/* Wake these in turn, and wait until all were awake: how long each took from
 * the start goes to took_ns.  Returns how long it was to the end. */
static uint64_t
wake(unsigned first, unsigned n, uint64_t *took_ns)
{
	const struct timespec rest = { .tv_nsec = 3000000 };
	uint64_t start, end, times;

	nanosleep(&rest, NULL); /* all sleep again */
	atomic_store(&shared->woken, 0);
	shared->wanted = n;
	start = now_ns();
	for (unsigned i = first; i < first + n; i++)
		if (write(ends[i], "", 1) != 1)
			err(1, "a child");
	if (read(shared->over, &times, sizeof(times)) != sizeof(times))
		err(1, "eventfd");
	end = now_ns();
	for (unsigned i = 0; i < n; i++)
		took_ns[i] = shared->at_ns[first + i] - start;
	return end - start;
}

static int
compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* A percentile of sorted times, in units of so many nanoseconds. */
static double
percentile(const uint64_t *ns, size_t n, unsigned percent, double unit)
{
	size_t at = (n - 1) * percent / 100;

	return (double)ns[at] / unit;
}

static void
measure_wake(unsigned n, unsigned rounds)
{
	static uint64_t singles[SINGLES];
	size_t total = (size_t)n * rounds;
	uint64_t *took = calloc(total, sizeof(*took)), sum = 0;

	if (took == NULL)
		err(1, NULL);
	start_sleepers(n);
	for (unsigned i = 0; i < rounds; i++)
		sum += wake(0, n, took + (size_t)i * n);
	for (unsigned i = 0; i < SINGLES; i++)
		wake(i % n, 1, singles + i);
	end_children();
	qsort(took, total, sizeof(*took), compare);
	qsort(singles, SINGLES, sizeof(*singles), compare);
	printf("{\"measure\": \"wake\", \"processes\": %u, \"rounds\": %u, "
	       "\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"us_each\": %.1f, "
	       "\"single_p50_us\": %.1f, \"single_p99_us\": %.1f}\n",
	    n, rounds, percentile(took, total, 50, 1e6),
	    percentile(took, total, 99, 1e6), (double)sum / 1e3 / (double)total,
	    percentile(singles, SINGLES, 50, 1e3),
	    percentile(singles, SINGLES, 99, 1e3));
	free(took);
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "memory") == 0)
		measure_memory(number(argv[2], PROCESSES_MAX));
	else if (argc == 4 && strcmp(argv[1], "wake") == 0)
		measure_wake(
		    number(argv[2], WAKE_MAX), number(argv[3], ROUNDS_MAX));
	else
		errx(64, "usage: fork_floor memory N | wake N ROUNDS");
	return 0;
}
