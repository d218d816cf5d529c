/* SPDX-License-Identifier: GPL-2.0-or-later */
/* newterm() instead of initscr(), which would end the program where there is no terminal. */
#include "tools/ctl/screen.h"

#define NCURSES_NOMACROS
#include <curses.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct Screen {
    SCREEN *terminal;
};

Screen *screen_new(GError **error)
{
    const char *type = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "this is no terminal: use --batch");
        return NULL;
    }
    SCREEN *terminal = newterm(NULL, stdout, stdin);
    if (!terminal) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "nothing is known of terminals of type %s (TERM): use --batch",
                    type ? type : "(none)");
        return NULL;
    }
    Screen *screen = g_new(Screen, 1);
    screen->terminal = terminal;
    set_term(terminal);
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    return screen;
}

void screen_free(Screen *screen)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen->terminal);
    g_free(screen);
}

int screen_key(Screen *screen)
{
    (void)screen;
    int key = wgetch(stdscr);
    return key == ERR ? 0 : key;
}

void screen_fit(Screen *screen)
{
    (void)screen;
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
}

int screen_width(const Screen *screen)
{
    (void)screen;
    return getmaxx(stdscr);
}

int screen_height(const Screen *screen)
{
    (void)screen;
    return getmaxy(stdscr);
}

void screen_begin(Screen *screen)
{
    (void)screen;
    werase(stdscr);
}

void screen_line(Screen *screen, int row, ScreenStyle style, const char *text)
{
    static const chtype attributes[] = {A_NORMAL, A_BOLD, A_REVERSE};
    if (row >= screen_height(screen))
        return;
    wattrset(stdscr, (int)attributes[style]);
    mvwaddnstr(stdscr, row, 0, text, screen_width(screen));
    wattrset(stdscr, A_NORMAL);
}

void screen_end(Screen *screen)
{
    (void)screen;
    wrefresh(stdscr);
}
