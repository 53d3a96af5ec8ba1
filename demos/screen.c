/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * screen.c - see screen.h. A frame is put together in memory and written at once, each
 * line erasing what it does not cover, so that nothing flickers.
 */
#define _DEFAULT_SOURCE

#include "screen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define COLUMNS_MIN 20
#define COLUMNS_MAX 400

static struct termios cooked;
static bool is_raw;

/* ---- the terminal ---------------------------------------------------------- */

static void write_all(const char *bytes, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(STDOUT_FILENO, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

static void put_text(const char *text)
{
	write_all(text, strlen(text));
}

static void look_at_size(struct screen *s)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	s->columns = columns ? atoi(columns) : 80;
	s->rows = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
		s->columns = size.ws_col;
		s->rows = size.ws_row > 0 ? size.ws_row : 24;
	}
	s->columns = s->columns < COLUMNS_MIN ? COLUMNS_MIN
	    : s->columns > COLUMNS_MAX ? COLUMNS_MAX : s->columns;
}

/* Who has said what the terminal shows has said so; else they all show UTF-8 today. */
static bool shows_utf8(const char *term)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *value;

	for (int i = 0; i < 3; i++) {
		value = getenv(names[i]);
		if (value && *value)
			return strstr(value, "UTF-8") || strstr(value, "utf8");
	}
	return term && strcmp(term, "linux") != 0 && strcmp(term, "dumb") != 0;
}

void screen_enter(struct screen *s)
{
	struct termios raw;

	if (!s->live)
		return;
	if (!is_raw && tcgetattr(STDIN_FILENO, &cooked) == 0) {
		raw = cooked;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	put_text("\033[?1049h\033[?25l\033[H\033[2J");
}

void screen_leave(struct screen *s)
{
	if (!s->live)
		return;
	put_text("\033[0m\033[?25h\033[?1049l");
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	is_raw = false;
}

void screen_open(struct screen *s, bool live)
{
	const char *term = getenv("TERM");
	bool terminal = isatty(STDOUT_FILENO);

	*s = (struct screen){ .live = live && terminal };
	s->colour = terminal && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
	s->glyphs = shows_utf8(term);
	look_at_size(s);
	screen_enter(s);
}

/* ---- a frame --------------------------------------------------------------- */

int screen_begin(struct screen *s)
{
	look_at_size(s);
	s->column = s->row = 0;
	s->to = open_memstream(&s->bytes, &s->len);
	if (!s->to)
		return -ENOMEM;
	if (s->live)
		fputs("\033[H", s->to);
	return 0;
}

static void set_style(struct screen *s, enum screen_style style)
{
	static const char *const codes[] = {
		[PLAIN] = "0", [DIM] = "2", [BOLD] = "1", [GOOD] = "32", [WARN] = "33",
		[BAD] = "31", [BLUE] = "36", [ALARM] = "1;37;41",
	};

	if (s->colour)
		fprintf(s->to, "\033[%sm", codes[style]);
}

/* Nobody writes below the last line, where a terminal would scroll. */
static int room(const struct screen *s)
{
	return s->live && s->row >= s->rows ? 0 : s->columns - s->column;
}

void screen_print(struct screen *s, enum screen_style style, const char *format, ...)
{
	char text[COLUMNS_MAX + 1];
	va_list values;
	int len;

	va_start(values, format);
	len = vsnprintf(text, sizeof text, format, values);
	va_end(values);
	if (len > (int)sizeof text - 1)
		len = sizeof text - 1;
	if (len > room(s))
		len = room(s);
	if (len <= 0)
		return;
	if (style != PLAIN)
		set_style(s, style);
	fprintf(s->to, "%.*s", len, text);
	if (style != PLAIN)
		set_style(s, PLAIN);
	s->column += len;
}

void screen_to(struct screen *s, int column)
{
	if (column > s->column)
		screen_print(s, PLAIN, "%*s", column - s->column, "");
}

void screen_line(struct screen *s)
{
	if (s->live && s->row >= s->rows)
		return;
	s->row++;
	s->column = 0;
	if (s->live)
		fputs(s->row < s->rows ? "\033[K\r\n" : "\033[K", s->to);
	else
		putc('\n', s->to);
}

int screen_left(const struct screen *s)
{
	return s->live ? s->rows - s->row : 1000;
}

void screen_end(struct screen *s)
{
	if (s->live && s->row < s->rows)
		fputs("\033[J", s->to);
	fclose(s->to);
	write_all(s->bytes, s->len);
	free(s->bytes);
	s->bytes = NULL;
}

/* ---- pictures -------------------------------------------------------------- */

/* In eighths of a column, from none to all of it. */
static void put_glyph(struct screen *s, const char *const glyphs[9], int eighths)
{
	static const char ascii[] = " ..:-=+*#";

	if (room(s) <= 0)
		return;
	if (s->glyphs)
		fputs(glyphs[eighths], s->to);
	else
		putc(ascii[eighths], s->to);
	s->column++;
}

static int eighths_of(double part)
{
	return !(part > 0) ? 0 : part >= 1 ? 8 : (int)(part * 8);
}

void screen_bar(struct screen *s, enum screen_style style, double part, int width)
{
	static const char *const glyphs[9] = { "\u00b7", "\u258f", "\u258e", "\u258d",
		"\u258c", "\u258b", "\u258a", "\u2589", "\u2588" };
	int eighths;

	for (int i = 0; i < width; i++) {
		eighths = eighths_of(part * width - i);
		set_style(s, eighths ? style : DIM);
		put_glyph(s, glyphs, eighths);
		set_style(s, PLAIN);
	}
}

void screen_spark(struct screen *s, enum screen_style style, const double *values, int n,
    int width, double least)
{
	static const char *const glyphs[9] = { " ", "\u2581", "\u2582", "\u2583",
		"\u2584", "\u2585", "\u2586", "\u2587", "\u2588" };
	int first = n > width ? n - width : 0;
	double most = least;

	for (int i = first; i < n; i++)
		most = values[i] > most ? values[i] : most;
	screen_to(s, s->column + width - (n - first));
	set_style(s, style);
	for (int i = first; i < n; i++)
		put_glyph(s, glyphs, values[i] >= 0 && most > 0
		    ? 1 + (int)(values[i] / most * 7 + 0.001) : 1);
	set_style(s, PLAIN);
}
