/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The terminal as a whole, by ncurses: lines of text, and keys. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Screen Screen;

typedef enum { SCREEN_PLAIN, SCREEN_BOLD, SCREEN_REVERSE } ScreenStyle;

/* Takes the terminal of standard input and output; NULL with error where it cannot. */
Screen *screen_new(GError **error);
void screen_free(Screen *screen); /* gives the terminal back; NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Screen, screen_free)

/* The next key; 0: none waits. Never blocks. */
int screen_key(Screen *screen);
/* The terminal has another size (SIGWINCH). */
void screen_fit(Screen *screen);
int screen_width(const Screen *screen);
int screen_height(const Screen *screen);
/* Lines are cut off at the edge; those below the screen are not seen. From begin to end is one
 * picture. */
void screen_begin(Screen *screen);
void screen_line(Screen *screen, int row, ScreenStyle style, const char *text);
void screen_end(Screen *screen);
