/* The terminal side of `monitor`: paints frames and reads keys. The terminal is given back on every
 * way out: all signals are held back but while the screen waits, so none ends the process between.
 */
#define NCURSES_WIDECHAR 1
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "monitor.h"

#define KEYS_PAGE 10

bool monitor_ascii(void)
{
	setlocale(LC_CTYPE, "");
	return strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

/* --- signals --- */

static const int held[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };

/* As SIGTERM: interrupt.c has its flag and the calls that are to be broken off. */
static void on_hangup(int signo)
{
	raise(SIGTERM);
}

static void hold_signals(sigset_t *ret_before)
{
	struct sigaction action = { .sa_handler = on_hangup };
	sigset_t set;

	sigemptyset(&action.sa_mask);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGQUIT, &action, NULL);
	sigemptyset(&set);
	for (size_t i = 0; i < sb_countof(held); i++)
		sigaddset(&set, held[i]);
	pthread_sigmask(SIG_BLOCK, &set, ret_before);
}

/* --- painting --- */

static attr_t attrs[SB_MONITOR_TONE_COUNT_];

static void choose_colors(void)
{
	static const struct {
		attr_t attr;
		short color; /* 0 = the terminal's own */
	} tones[] = {
		[SB_MONITOR_PLAIN] = { A_NORMAL, 0 },
		[SB_MONITOR_DIM] = { A_DIM, 0 },
		[SB_MONITOR_HEAD] = { A_BOLD | A_UNDERLINE, 0 },
		[SB_MONITOR_GOOD] = { A_NORMAL, COLOR_GREEN },
		[SB_MONITOR_WARN] = { A_NORMAL, COLOR_YELLOW },
		[SB_MONITOR_BAD] = { A_BOLD, COLOR_RED },
	};
	bool colors = sb_empty(getenv("NO_COLOR")) && has_colors() && start_color() == OK &&
			use_default_colors() == OK;

	for (short i = 0; i < SB_MONITOR_TONE_COUNT_; i++) {
		attrs[i] = tones[i].attr;
		if (colors && tones[i].color && init_pair(i, tones[i].color, -1) == OK)
			attrs[i] |= (attr_t)COLOR_PAIR(i);
	}
}

/* The whole frame each time: ncurses sends what differs from what is on the screen. */
static void paint(const struct sb_monitor_frame *frame)
{
	werase(stdscr);
	for (size_t i = 0; i < frame->width * frame->height; i++) {
		const struct sb_monitor_cell *cell = &frame->cells[i];
		attr_t attr = attrs[cell->tone] | (cell->marked ? A_REVERSE : A_NORMAL);
		wchar_t text[2] = { (wchar_t)cell->ch, 0 };
		cchar_t ch;

		if (!cell->ch || (cell->ch == ' ' && attr == A_NORMAL))
			continue;
		setcchar(&ch, text, attr, (short)PAIR_NUMBER(attr), NULL);
		mvadd_wch((int)(i / frame->width), (int)(i % frame->width), &ch);
	}
	wnoutrefresh(stdscr);
	doupdate();
}

static int draw(struct monitor *m, const struct sb_monitor_view *view, struct sb_err *err)
{
	SB_CLEANUP(sb_monitor_frame_done) struct sb_monitor_frame frame = { 0 };
	size_t width = (size_t)(COLS < SB_MONITOR_SIDE_MAX ? COLS : SB_MONITOR_SIDE_MAX);
	size_t height = (size_t)(LINES < SB_MONITOR_SIDE_MAX ? LINES : SB_MONITOR_SIDE_MAX);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = sb_monitor_frame(&m->model, view->log ? &m->log : &m->events, view, width, height,
			&frame, err);
	pthread_mutex_unlock(&m->lock);
	if (rc == 0)
		paint(&frame);
	return rc;
}

/* --- keys --- */

static void move_by(struct monitor *m, struct sb_monitor_view *view, int by)
{
	sb_monitor_move(&m->model, view, by);
}

static void next_sort(struct monitor *m, struct sb_monitor_view *view, int by)
{
	view->sort = (view->sort + 1) % SB_MONITOR_SORT_COUNT_;
}

static void toggle_log(struct monitor *m, struct sb_monitor_view *view, int by)
{
	view->log = !view->log;
}

static void toggle_help(struct monitor *m, struct sb_monitor_view *view, int by)
{
	view->help = !view->help;
}

static const struct {
	int key;
	void (*act)(struct monitor *m, struct sb_monitor_view *view, int by);
	int by;
} keys[] = {
	{ 'j', move_by, 1 },
	{ KEY_DOWN, move_by, 1 },
	{ 'k', move_by, -1 },
	{ KEY_UP, move_by, -1 },
	{ KEY_NPAGE, move_by, KEYS_PAGE },
	{ KEY_PPAGE, move_by, -KEYS_PAGE },
	{ 's', next_sort, 0 },
	{ 'l', toggle_log, 0 },
	{ '?', toggle_help, 0 },
	{ 'h', toggle_help, 0 },
};

/* The log that is shown is the one that is read. */
static void want_log(struct monitor *m, const struct sb_monitor_view *view)
{
	const char *job = view->log ? sb_monitor_log_job(&m->model, view) : NULL;

	if (!strcmp(m->log_job, job ? job : ""))
		return;
	snprintf(m->log_job, sizeof(m->log_job), "%s", job ? job : "");
	sb_monitor_lines_done(&m->log);
	pthread_cond_signal(&m->wanted);
}

/* Return: false to leave. */
static bool take_keys(struct monitor *m, struct sb_monitor_view *view)
{
	bool stay = true;
	int key;

	while (stay && (key = getch()) != ERR) {
		stay = key != 'q' && key != 'Q';
		pthread_mutex_lock(&m->lock);
		for (size_t i = 0; i < sb_countof(keys); i++)
			if (keys[i].key == key)
				keys[i].act(m, view, keys[i].by);
		pthread_mutex_unlock(&m->lock);
	}
	return stay;
}

static int show(struct monitor *m, const sigset_t *open, struct sb_err *err)
{
	struct sb_monitor_view view = { .ascii = monitor_ascii() };
	struct pollfd waits[] = { { STDIN_FILENO, POLLIN, 0 }, { m->news, POLLIN, 0 } };
	eventfd_t count;
	int rc = 0;

	while (rc == 0 && !interrupted() && !(waits[0].revents & (POLLHUP | POLLERR))) {
		if (!take_keys(m, &view))
			break;
		pthread_mutex_lock(&m->lock);
		want_log(m, &view);
		pthread_mutex_unlock(&m->lock);
		rc = draw(m, &view, err);
		waits[0].revents = 0;
		if (rc == 0 && ppoll(waits, sb_countof(waits), NULL, open) > 0 && waits[1].revents)
			eventfd_read(m->news, &count);
	}
	return rc;
}

static int show_on(struct monitor *m, const sigset_t *open, struct sb_err *err)
{
	SCREEN *screen;
	int rc;

	monitor_ascii(); /* ncurses asks the locale what a character is */
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return sb_err_set(err, SB_E_INVALID,
				"monitor cannot draw on this terminal (TERM=%s): use `sparkbus "
				"monitor --once`",
				getenv("TERM") ? getenv("TERM") : "");
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	choose_colors();
	rc = show(m, open, err);
	endwin();
	delscreen(screen);
	return rc;
}

int monitor_screen(struct monitor *m, struct sb_err *err)
{
	sigset_t before;
	pthread_t poller;
	int rc;

	hold_signals(&before);
	m->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->news < 0 || pthread_create(&poller, NULL, monitor_poll, m) != 0) {
		sb_closep(&m->news);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		return sb_err_set(err, SB_E_INTERNAL, "no thread: %s", strerror(errno));
	}
	rc = show_on(m, &before, err);
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_signal(&m->wanted);
	pthread_mutex_unlock(&m->lock);
	sb_client_interrupt(m->client);
	pthread_join(poller, NULL);
	sb_closep(&m->news);
	m->news = -1;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}
