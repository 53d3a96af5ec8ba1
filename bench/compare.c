/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare.c - libbpthread against what users would pick instead, in one go.
 *
 * Machines are disturbed, and change their mood within minutes. So a round runs
 * every contender once in each mode, one after the other and each time in another
 * order, and what is told is how they stand to raw in those same rounds.
 */
#include "compare.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define IDLE 10000
#define IDLE_QUICK 1000
#define OWN_FILES 64		/* of a process with many connections */

static const char usage[] =
    "usage: compare [OPTION]...\n"
    "Run servers of libbpthread and of others through all modes, in interleaved\n"
    "rounds. Print tables; write results.tsv and benchmark.svg.\n"
    "\n"
    "  --rounds N            [5]\n"
    "  --seconds S           measured in each run [1]\n"
    "  --quick               one round, 0.25 s each, fewer idle connections\n"
    "  --only MODE,...       the modes to run, or what their names begin with\n"
    "  --contenders NAME,... those to run; raw always is\n"
    "  --out DIR             where to write [.]\n"
    "  --bin DIR             where load and the servers are [where compare is]\n"
    "  --pin                 a core each for server and load in pipeline-1, too:\n"
    "                        where they may wander it has two speeds\n"
    "  --check               exit with 1 unless ours ended all they began with the\n"
    "                        right answers in bounded memory; no word on speed, nor\n"
    "                        on the others\n"
    "  --help\n"
    "\n";

static _Noreturn void refuse(const char *what, const char *word)
{
	fprintf(stderr, "compare: %s%s; see compare --help\n", what, word);
	exit(2);
}

/* ---- what was asked for ---------------------------------------------- */

static const char *mode_key(int i)
{
	return modes[i].key;
}

static const char *contender_key(int i)
{
	return contenders[i].key;
}

static void print_help(void)
{
	fputs(usage, stdout);
	printf("Modes:\n");
	for (int m = 0; m < modes_n; m++)
		printf("  %-22s  %s\n", modes[m].key, modes[m].label);
	printf("Contenders:\n");
	for (int c = 0; c < contenders_n; c++)
		printf("  %s\n", contenders[c].key);
}

/* One word: it itself, else all that begin so. Returns how many there are. */
static int choose_word(bool *chosen, int n, const char *(*key)(int i),
    const char *word)
{
	size_t len = strlen(word);
	int found = 0;

	for (int i = 0; i < n; i++)
		if (strcmp(key(i), word) == 0) {
			chosen[i] = true;
			return 1;
		}
	for (int i = 0; i < n; i++)
		if (strncmp(key(i), word, len) == 0) {
			chosen[i] = true;
			found++;
		}
	return found;
}

static void choose(bool *chosen, int n, const char *(*key)(int i), const char *list)
{
	char *words = list ? strdup(list) : NULL;
	char *rest = words, *word;

	for (int i = 0; i < n; i++)
		chosen[i] = !list;
	if (list && !words)
		refuse("out of memory", "");
	while ((word = strsep(&rest, ",")))
		if (!*word || !choose_word(chosen, n, key, word))
			refuse("there is nothing called ", word);
	free(words);
}

static double number(const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= min && value <= max))
		refuse("not a number that fits: ", text);
	return value;
}

static void parse(struct bench *bench, int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "quick", no_argument, NULL, 'q' },
		{ "only", required_argument, NULL, 'm' },
		{ "contenders", required_argument, NULL, 'c' },
		{ "out", required_argument, NULL, 'o' },
		{ "bin", required_argument, NULL, 'b' },
		{ "pin", no_argument, NULL, 'p' },
		{ "check", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' }, { 0 },
	};
	const char *only = NULL, *names = NULL;
	double rounds = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'r': rounds = number(optarg, 1, ROUNDS_MAX); break;
		case 's': bench->seconds = number(optarg, 0.01, 3600); break;
		case 'q': bench->quick = true; break;
		case 'm': only = optarg; break;
		case 'c': names = optarg; break;
		case 'o': bench->out = optarg; break;
		case 'b':
			snprintf(bench->bin, sizeof bench->bin, "%s", optarg);
			break;
		case 'p': bench->pin = true; break;
		case 'k': bench->check = true; break;
		case 'h': print_help(); exit(0);
		default: exit(2);
		}
	if (optind < argc)
		refuse("what is ", argv[optind]);
	bench->rounds = rounds > 0 ? (int)rounds : bench->quick ? 1 : 5;
	bench->seconds = bench->seconds > 0 ? bench->seconds : bench->quick ? 0.25 : 1;
	bench->warmup = bench->quick ? 0.05 : 0.2;
	choose(bench->has_mode, modes_n, mode_key, only);
	choose(bench->has_contender, contenders_n, contender_key, names);
	bench->has_contender[RAW] = true;
}

/* ---- what there is --------------------------------------------------- */

static void find_bin(struct bench *bench)
{
	ssize_t n;
	char *slash;

	if (*bench->bin)
		return;
	n = readlink("/proc/self/exe", bench->bin, sizeof bench->bin - 1);
	if (n < 0)
		refuse("--bin is needed: ", strerror(errno));
	bench->bin[n] = '\0';
	slash = strrchr(bench->bin, '/');
	if (slash)
		*slash = '\0';
}

static bool is_built(const struct bench *bench, const char *name)
{
	char path[8192];

	snprintf(path, sizeof path, "%s/%s", bench->bin, name);
	return access(path, X_OK) == 0;
}

static void leave_out_missing(struct bench *bench)
{
	if (!is_built(bench, "load") || !is_built(bench, contenders[RAW].server))
		refuse("load and server_raw are not in ", bench->bin);
	for (int c = 0; c < contenders_n; c++)
		if (bench->has_contender[c]
		    && !is_built(bench, contenders[c].server)) {
			if (bench->check && contenders[c].ours)
				refuse("not built, but to be checked: ",
				    contenders[c].server);
			fprintf(stderr, "%s: not built, left out\n",
			    contenders[c].label);
			bench->has_contender[c] = false;
		}
}

static void find_cpus(struct bench *bench)
{
	cpu_set_t set;

	/* the last ones: interrupts like the first */
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
			if (CPU_ISSET((size_t)cpu, &set)) {
				if (bench->cpus_n < 2)
					bench->cpus[bench->cpus_n] = cpu;
				bench->cpus_n++;
			}
	if (bench->pin && bench->cpus_n < 2) {
		fprintf(stderr, "--pin: there is one core\n");
		bench->pin = false;
	}
	for (int m = 0; m < modes_n; m++)
		if (bench->has_mode[m] && modes[m].placing == TWO_CORES
		    && bench->cpus_n < 2) {
			fprintf(stderr, "%s: there is one core, left out\n",
			    modes[m].label);
			bench->has_mode[m] = false;
		}
}

static void bound_idle(struct bench *bench)
{
	struct rlimit files;

	bench->idle_connections = bench->quick ? IDLE_QUICK : IDLE;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max == RLIM_INFINITY
	    || files.rlim_max >= (rlim_t)bench->idle_connections + OWN_FILES)
		return;
	if (files.rlim_max <= OWN_FILES)
		refuse("too few descriptors", "");
	bench->idle_connections = (long)files.rlim_max - OWN_FILES;
	fprintf(stderr, "idle: %ld connections, as the limit of descriptors has it\n",
	    bench->idle_connections);
}

/* ---- the rounds ------------------------------------------------------ */

static void run_mode(struct bench *bench, int round, int mode)
{
	struct run *run;
	int c;

	fprintf(stderr, "round %d of %d: %s\n", round, bench->rounds,
	    modes[mode].label);
	for (int i = 0; i < contenders_n; i++) {
		c = (i + round) % contenders_n;
		if (!bench->has_contender[c]
		    || !takes_part(&contenders[c], &modes[mode]))
			continue;
		run = &bench->runs[bench->runs_n++];
		*run = (struct run){ .round = round, .mode = mode, .contender = c };
		run_once(bench, run);
	}
}

static void run_all(struct bench *bench)
{
	size_t most = (size_t)bench->rounds * (size_t)modes_n * (size_t)contenders_n;

	bench->runs = calloc(most, sizeof *bench->runs);
	if (!bench->runs)
		refuse("out of memory", "");
	for (int round = 1; round <= bench->rounds; round++)
		for (int m = 0; m < modes_n; m++)
			if (bench->has_mode[m])
				run_mode(bench, round, m);
}

static bool write_file(const struct bench *bench, const char *name,
    void (*write_to)(const struct bench *bench, FILE *file))
{
	char path[8192];
	FILE *file;
	bool bad;

	snprintf(path, sizeof path, "%s/%s", bench->out, name);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		return false;
	}
	write_to(bench, file);
	bad = ferror(file);
	bad |= fclose(file) != 0;
	fprintf(stderr, bad ? "compare: cannot write %s\n" : "wrote %s\n", path);
	return !bad;
}

static bool all_well(const struct bench *bench)
{
	for (int i = 0; i < bench->runs_n; i++)
		if (!bench->runs[i].ok)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct bench bench = { .out = "." };
	bool ok;

	parse(&bench, argc, argv);
	find_bin(&bench);
	leave_out_missing(&bench);
	find_cpus(&bench);
	bound_idle(&bench);
	if (access(bench.out, W_OK | X_OK) != 0)
		refuse("--out: cannot write in ", bench.out);
	choose_congestion(&bench);
	run_all(&bench);
	print_tables(&bench);
	ok = write_file(&bench, "results.tsv", write_tsv);
	ok = write_file(&bench, "benchmark.svg", write_svg) && ok;
	if (bench.check) {
		putchar('\n');
		ok = check_all(&bench) && ok;
	} else {
		ok = all_well(&bench) && ok;
	}
	free(bench.runs);
	return ok ? 0 : 1;
}
